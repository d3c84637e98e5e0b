// Where this account is told of its jobs: webhooks and e-mail addresses, added, confirmed and removed here.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, post, Problem } from "../api";
import type { Target, TargetAdded } from "../wire";
import { Badge, Failure, Loading, Notice } from "./parts";

export function Notices() {
  const targets = useSignal<Target[] | null>(null);
  const problem = useSignal<Problem | null>(null);
  const address = useSignal("");
  const added = useSignal<TargetAdded | null>(null);
  const guard = async (work: () => Promise<void>) => {
    problem.value = null;
    try {
      await work();
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
    }
  };
  const load = async () => {
    targets.value = await get<Target[]>("/v1/notify");
  };
  useEffect(() => void guard(load), []);
  const add = (event: Event) => {
    event.preventDefault();
    return guard(async () => {
      added.value = await post<TargetAdded>("/v1/notify", { address: address.value.trim() });
      address.value = "";
      await load();
    });
  };
  const remove = (target: Target) =>
    guard(async () => {
      await post(`/v1/notify/${target.id}/remove`);
      if (added.value?.target.id === target.id) added.value = null;
      await load();
    });
  const confirm = (target: Target, code: string) =>
    guard(async () => {
      await post(`/v1/notify/${target.id}/confirm`, { code });
      await load();
    });
  return (
    <section class="card notices">
      <h2>Notices</h2>
      <p class="hint">Told is that a job is done, has failed, or waits for your word on its preview.</p>
      {problem.value && <Failure problem={problem.value} />}
      <form class="actions change" onSubmit={(event) => void add(event)}>
        <label class="field">
          <span>Webhook or e-mail address</span>
          <input
            type="text"
            required
            autocomplete="off"
            placeholder="https://studio.example/hook"
            value={address.value}
            onInput={(event) => (address.value = event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button small">
          Add
        </button>
      </form>
      {added.value?.secret && (
        <Notice title="The webhook's secret, shown this once">
          <code>{added.value.secret}</code>
        </Notice>
      )}
      {targets.value === null ? (
        <Loading rows={2} />
      ) : targets.value.length === 0 ? (
        <p class="hint">Nobody is told yet.</p>
      ) : (
        <ul class="targets">
          {targets.value.map((target) => (
            <TargetRow key={target.id} target={target} remove={remove} confirm={confirm} />
          ))}
        </ul>
      )}
    </section>
  );
}

interface RowProps {
  target: Target;
  remove: (target: Target) => Promise<void>;
  confirm: (target: Target, code: string) => Promise<void>;
}

function TargetRow({ target, remove, confirm }: RowProps) {
  const code = useSignal("");
  return (
    <li>
      <span class="address">{target.address}</span>
      {target.confirmed ? <Badge tone="good">told</Badge> : <Badge tone="wait">waits for its code</Badge>}
      <span class="hint">
        {target.events.join(", ")}; {target.sent} sent
        {target.waiting > 0 && `, ${target.waiting} waiting`}
        {target.given_up > 0 && `, ${target.given_up} given up`}
      </span>
      {target.last_error && <span class="error-line">{target.last_error}</span>}
      {!target.confirmed && (
        <form
          class="actions change"
          onSubmit={(event) => {
            event.preventDefault();
            void confirm(target, code.value.trim());
          }}
        >
          <label class="field">
            <span>Code from the mail</span>
            <input type="text" required autocomplete="one-time-code" value={code.value} onInput={(event) => (code.value = event.currentTarget.value)} />
          </label>
          <button type="submit" class="button small">
            Confirm
          </button>
        </form>
      )}
      <button type="button" class="button quiet small" onClick={() => void remove(target)}>
        Remove<span class="sr"> {target.address}</span>
      </button>
    </li>
  );
}
