// Runs before anything is drawn, so that a chosen theme does not flash in after the system's, and before anything is asked for.
import { openBegun } from './api';
import { applyTheme, storedTheme } from './theme';

applyTheme(storedTheme());
openBegun();
