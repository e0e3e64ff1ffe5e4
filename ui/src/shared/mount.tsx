// Puts an interface on the page.
import { type ComponentChild, render } from 'preact';
import { forgetBegun } from './api';
import './base.css';

/** Draws it into the page's empty place. */
export function mount(interfaceOf: ComponentChild): void {
  const place = document.getElementById('app');
  if (place) render(interfaceOf, place);
  forgetBegun();
}
