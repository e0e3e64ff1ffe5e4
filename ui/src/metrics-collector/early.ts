// Runs while the page's script is loading: asks for what it shows first.
import { begin } from '../shared/api';
import '../shared/early';
import { dashboardParams, viewOf } from './view';

const view = viewOf(new URLSearchParams(location.search));
begin('api/metrics/names', { project: view.project });
begin('api/projects');
if (!view.isExplorer) begin('api/dashboard', dashboardParams(view));
