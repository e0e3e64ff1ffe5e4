// Runs while the page's script is loading: asks for what it shows first.
import { begin } from '../shared/api';
import '../shared/early';
import { listParams } from './model';

const query = new URLSearchParams(location.search);
if (!query.get('around')) begin('api/logs', listParams(query));
begin('api/containers');
