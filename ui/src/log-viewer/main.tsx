// The interface of log-viewer.
import { mount } from '../shared/mount';
import { Shell } from '../shared/shell';
import './style.css';
import { LogView } from './view';

void mount(
  <Shell name="Logs">
    <LogView />
  </Shell>,
);
