// Puts an interface on the page.
import { type ComponentChild, render } from 'preact';
import { begunIsThere, forgetBegun } from './api';
import './base.css';

/** Drawing a page without its data and then again with it takes longer than waiting so long for it. */
const FIRST_ANSWER_MS = 100;

/** Draws it into the page's empty place. */
export async function mount(interfaceOf: ComponentChild): Promise<void> {
  await begunIsThere(FIRST_ANSWER_MS);
  const place = document.getElementById('app');
  if (place) render(interfaceOf, place);
  forgetBegun();
}
