// The interface of error-tracker.
import { mount } from '../shared/mount';
import { Shell } from '../shared/shell';
import { usePath } from '../shared/url';
import { ErrorPage } from './detail';
import { List } from './list';
import './style.css';

function Page() {
  const id = /^errors\/(\d+)$/.exec(usePath())?.[1];
  return id ? <ErrorPage id={id} /> : <List />;
}

mount(
  <Shell name="Errors">
    <Page />
  </Shell>,
);
