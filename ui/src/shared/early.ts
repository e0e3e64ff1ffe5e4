// Runs before anything is drawn, so that a chosen theme does not flash in after the system's.
import { applyTheme, storedTheme } from './theme';

applyTheme(storedTheme());
