// What happened to the job, the latest first, in words.

import { useSignal } from "@preact/signals";
import { clock, duration, short } from "../format";
import { JOB_STATES, type Tone } from "../words";
import type { LogEntry } from "../wire";
import type { JobStore } from "./store";

const SHOWN = 40;

export function Log({ store, select }: { store: JobStore; select: (tile: number) => void }) {
  const only = useSignal(false);
  const more = useSignal(SHOWN);
  const lines = store.log.value.map((entry) => ({ entry, ...said(entry, store) }));
  const wanted = only.value ? lines.filter((line) => line.tone === "bad") : lines;
  return (
    <section class="card log">
      <div class="row">
        <h2>Log</h2>
        <label class="check end">
          <input type="checkbox" checked={only.value} onChange={(event) => (only.value = event.currentTarget.checked)} />
          only failures
        </label>
      </div>
      {wanted.length === 0 ? (
        <p class="hint">{only.value ? "Nothing failed." : "Nothing has happened yet."}</p>
      ) : (
        <ol class="events">
          {wanted.slice(0, more.value).map(({ entry, text, tone, tile }) => (
            <li key={entry.id} class={tone}>
              <time dateTime={new Date(entry.at * 1000).toISOString()}>{clock(entry.at)}</time>
              <span>
                {tile === undefined ? null : (
                  <button type="button" class="link" onClick={() => select(tile)}>
                    Tile {tile}
                  </button>
                )}
                {text}
              </span>
            </li>
          ))}
        </ol>
      )}
      {wanted.length > more.value && (
        <button type="button" class="button quiet small" onClick={() => (more.value += 100)}>
          Show more
        </button>
      )}
    </section>
  );
}

function said({ type, data }: LogEntry, store: JobStore): { text: string; tone: Tone; tile?: number } {
  const text = (name: string) => (typeof data[name] === "string" ? data[name] : "");
  const node = text("node") ? short(text("node")) : "a node";
  if (type === "output") return { text: `${text("path")} was delivered`, tone: "good" };
  if (type === "job") {
    if (data.described === true) return { text: "The scene was described and its files checked", tone: "idle" };
    const state = text("state");
    const error = text("error");
    const word = JOB_STATES[state]?.word ?? state;
    return { text: error ? `The job ${state}: ${error}` : `The job is ${word}`, tone: JOB_STATES[state]?.tone ?? "idle" };
  }
  const tile = Number(data.index);
  const spec = store.tiles[tile]?.tile;
  const where = spec?.kind === "render" ? ` (frame ${spec.frames[0]})` : "";
  const reason = text("reason");
  if (text("lost") === "rejected") return { tile, tone: "bad", text: `${where} of ${node} was refused: ${reason}` };
  if (text("lost")) return { tile, tone: "bad", text: `${where} on ${node} was lost (${text("lost")}): ${reason}` };
  const seconds = typeof data.seconds === "number" ? ` in ${duration(data.seconds)}` : "";
  const words: Record<string, [string, Tone]> = {
    leased: [` went to ${node}`, "idle"],
    checking: [` came from ${node}${seconds}, its challenge is drawn`, "idle"],
    done: [` of ${node} passed${data.lane ? ` the ${text("lane")} lane` : ""}`, "good"],
    pending: [` waits again${reason ? `: ${reason}` : ""}`, "idle"],
    failed: [`${where} failed: ${reason}`, "bad"],
    cancelled: [" was cancelled", "idle"],
  };
  const [said, tone] = words[text("state")] ?? [` is ${text("state")}`, "idle"];
  return { text: said, tone, tile };
}
