// Values as a shop's site, its visitors' browsers and its workers send them; the same at each run.

const ENDPOINTS = ['/', '/products', '/products/{id}', '/cart', '/checkout', '/api/search'];
const PAGES = ['/', '/products', '/products/espresso-machine', '/cart', '/checkout'];
const BATCH_MAX = 1_000;

/** Numbers between 0 and 1 (mulberry32). */
function chances(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The last `minutes` of the shop, up to `now` (milliseconds). */
export function shopValues(minutes, now = Date.now()) {
  const chance = chances(1);
  const values = [];
  for (let ago = minutes; ago > 0; ago--) {
    const at = (share) => new Date(now - ago * 60_000 + share * 59_000).toISOString();
    const add = (name, type, value, labels) =>
      values.push({ name, type, value, labels, timestamp: at(chance()), project: 'shop' });
    const tide = 1 + 0.5 * Math.sin(((minutes - ago) / 180) * 2 * Math.PI);
    const isBroken = ago > minutes * 0.3 && ago < minutes * 0.36;
    for (const [place, endpoint] of ENDPOINTS.entries()) {
      const status = isBroken && endpoint === '/checkout' ? '500' : chance() < 0.02 ? '404' : '200';
      add('http_requests_total', 'counter', Math.ceil((40 / (place + 1)) * tide * (0.8 + 0.4 * chance())), { method: 'GET', endpoint, status });
      for (let turn = 0; turn < 3; turn++) {
        const seconds = 0.01 * (place + 1) * Math.exp(1.2 * (chance() + chance() - 1)) * (isBroken ? 6 : 1);
        add('http_request_duration_seconds', 'histogram', seconds, { method: 'GET', endpoint });
      }
    }
    for (const page of PAGES) {
      const browser = { source: 'browser', page };
      const slow = page === '/checkout' ? 2.2 : 1;
      add('web_vitals_lcp', 'histogram', 1_400 * slow * (0.7 + chance()), browser);
      add('web_vitals_inp', 'histogram', 110 * slow * (0.5 + chance()), browser);
      add('web_vitals_cls', 'histogram', 0.04 * slow * (0.3 + 2 * chance()), browser);
      add('web_vitals_fcp', 'histogram', 900 * (0.7 + chance()), browser);
      add('web_vitals_ttfb', 'histogram', 240 * (0.7 + chance()), browser);
    }
    add('workers_busy', 'gauge', Math.round(2 + 3 * tide * chance()), { queue: 'mail' });
    add('memory_resident_bytes', 'gauge', (180 + 40 * tide) * 2 ** 20, { host: 'web-1' });
    add('orders_total', 'counter', Math.floor(3 * tide * chance()), { country: ['CH', 'DE', 'AT'][Math.floor(chance() * 3)] });
  }
  return values;
}

/** Sends them in batches as large as the service takes. */
export async function sendValues(service, values) {
  for (let start = 0; start < values.length; start += BATCH_MAX) {
    await service.call('POST', 'api/metrics', values.slice(start, start + BATCH_MAX));
  }
}
