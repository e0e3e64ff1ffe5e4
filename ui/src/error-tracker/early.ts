// Runs while the page's script is loading: asks for what it shows first.
import { begin } from '../shared/api';
import '../shared/early';
import { pathBelow } from '../shared/root';
import { errorOf, listParams } from './model';

const id = errorOf(pathBelow());
if (id) begin(`api/errors/${id}`);
else {
  begin('api/errors', listParams(new URLSearchParams(location.search)));
  begin('api/projects');
}
