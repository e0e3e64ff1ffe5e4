// The interface of error-tracker.
import { mount } from '../shared/mount';
import { Shell } from '../shared/shell';
import { usePath } from '../shared/url';
import { ErrorPage } from './detail';
import { List } from './list';
import { errorOf } from './model';
import './style.css';

function Page() {
  const id = errorOf(usePath());
  return id ? <ErrorPage id={id} /> : <List />;
}

void mount(
  <Shell name="Errors">
    <Page />
  </Shell>,
);
