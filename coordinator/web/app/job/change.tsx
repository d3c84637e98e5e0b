// What can still be changed of a job: its place among one's own, and a cap up to what is in escrow.

import { useSignal } from "@preact/signals";
import type { JobView } from "../wire";

export interface Wish {
  priority: number;
  cap_usd?: string;
}

export function Change({ job, save }: { job: JobView; save: (wish: Wish) => Promise<boolean> }) {
  const open = useSignal(false);
  const priority = useSignal("");
  const cap = useSignal("");
  const held = job.quote?.cap_usd ?? "0";
  const inEscrow = ["opening", "running", "review", "paused"].includes(job.state);
  if (!open.value)
    return (
      <button
        type="button"
        class="button quiet small"
        onClick={() => {
          priority.value = String(job.priority);
          cap.value = job.lowered_cap_usd ?? held;
          open.value = true;
        }}
      >
        Change
      </button>
    );
  const submit = async (event: Event) => {
    event.preventDefault();
    const wish: Wish = { priority: Number(priority.value) };
    if (inEscrow) wish.cap_usd = cap.value.trim();
    if (await save(wish)) open.value = false;
  };
  return (
    <form class="actions change" aria-label="Change this job" onSubmit={(event) => void submit(event)}>
      <label class="field">
        <span>Priority among your jobs</span>
        <input
          type="number"
          min={-100}
          max={100}
          step={1}
          required
          value={priority.value}
          onInput={(event) => (priority.value = event.currentTarget.value)}
        />
      </label>
      {inEscrow && (
        <label class="field">
          <span>Cap, up to {held} USD</span>
          <input
            type="text"
            inputMode="decimal"
            required
            pattern="[0-9]+(\.[0-9]{1,6})?"
            value={cap.value}
            onInput={(event) => (cap.value = event.currentTarget.value)}
          />
        </label>
      )}
      <button type="submit" class="button small">
        Save
      </button>
      <button type="button" class="button quiet small" onClick={() => (open.value = false)}>
        Leave it
      </button>
    </form>
  );
}
