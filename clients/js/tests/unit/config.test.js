import { expect, test } from 'vitest';
import { matches, settingsOf } from '../../src/config';

const RELAY = { dsn: 'k', endpoint: 'https://relay.example///' };

test('what is not said has its default, and the endpoint no slash', () => {
  expect(settingsOf(RELAY)).toMatchObject({ endpoint: 'https://relay.example', sampleRate: 1, errorSampleRate: 1, captureErrors: true, captureVitals: true, breadcrumbs: true });
  expect(settingsOf({ ...RELAY, captureConsole: false }).captureConsole).toBe(false);
});

test('a setting without a value is none, and one pattern is a list', () => {
  const settings = settingsOf({ ...RELAY, captureErrors: undefined, sampleRate: undefined, ignoreErrors: null, ignoreUrls: 'ads.example' });
  expect(settings).toMatchObject({ captureErrors: true, sampleRate: 1, ignoreErrors: [] });
  expect(matches('at https://ads.example/a.js', settings.ignoreUrls)).toBe(true);
  expect(matches('at https://shop.example/a.js', settings.ignoreUrls)).toBe(false);
});

test('what makes no sense is named', () => {
  for (const wrong of [{}, { dsn: 'k' }, { ...RELAY, dsn: 7 }, { ...RELAY, endpoint: '' }]) expect(() => settingsOf(wrong)).toThrow('dsn, endpoint');
  for (const rate of [-1, 1.1, NaN, 'much']) expect(() => settingsOf({ ...RELAY, errorSampleRate: rate })).toThrow('errorSampleRate');
});

test('text occurs, expressions match, whatever their flags', () => {
  expect(matches('TypeError: x', ['Error: x'])).toBe(true);
  const global = /error/gi;
  expect([matches('an Error', [global]), matches('an Error', [global])]).toEqual([true, true]);
  expect(matches('x', [])).toBe(false);
});
