import { get } from '../shared/api';
import { useAnswer } from '../shared/answer';
import { mount } from '../shared/mount';
import { Shell } from '../shared/shell';
import { TroubleLine } from '../shared/trouble';

function Newest() {
  const { value, trouble, retryAt, reload } = useAnswer((signal) => get<unknown>('api/metrics/names', {}, signal), []);
  return (
    <>
      <TroubleLine trouble={trouble} retryAt={retryAt} onRetry={reload} />
      <pre>{JSON.stringify(value, null, 2)}</pre>
    </>
  );
}

mount(
  <Shell name="Metrics">
    <Newest />
  </Shell>,
);
