// One tile: who tried it, what was found, and its receipt.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, Problem } from "../api";
import { clock, count, duration, kiln, percent, short } from "../format";
import { Link } from "../router";
import { Badge, Failure, Loading } from "../views/parts";
import { LANES, TILE_STATES, tileWord, type Tone } from "../words";
import type { Attempt } from "../wire";
import type { JobStore } from "./store";

const TONES: Record<string, Tone> = { accepted: "good", rejected: "bad", failed: "bad", expired: "wait", released: "idle" };

export function TilePanel({ store, index, close }: { store: JobStore; index: number; close: () => void }) {
  const attempts = useSignal<Attempt[] | null>(null);
  const problem = useSignal<Problem | null>(null);
  store.version.value;
  const tile = store.tiles[index];
  const kind = store.view.value?.kind ?? "render";
  const mark = tile ? `${tile.state} ${tile.attempts} ${tile.node} ${tile.verdict}` : "";

  useEffect(() => {
    let gone = false;
    get<Attempt[]>(`/v1/jobs/${store.id}/tiles/${index}/attempts`).then(
      (found) => {
        if (!gone) attempts.value = found;
      },
      (error: unknown) => {
        problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
      },
    );
    return () => {
      gone = true;
    };
  }, [index, mark]);

  if (tile === undefined) return null;
  const spec = tile.tile;
  const passed = tile.state === "done";
  return (
    <section class="card tile" aria-label={`Tile ${index}`}>
      <div class="row">
        <h2>Tile {index}</h2>
        <Badge tone={TILE_STATES[tile.state].tone}>{tileWord(tile.state, kind)}</Badge>
        <button type="button" class="quiet icon end" onClick={close} aria-label="Close the tile">
          ×
        </button>
      </div>
      <p class="facts">
        {spec.kind === "render" ? (
          <>
            <span>{spec.frames.length === 1 ? `frame ${spec.frames[0]}` : `frames ${spec.frames[0]}–${spec.frames.at(-1)}`}</span>
            <span>
              {spec.rect[2] - spec.rect[0]} × {spec.rect[3] - spec.rect[1]} at {spec.rect[0]}, {spec.rect[1]}
            </span>
            <span>
              samples {spec.samples[0]}–{spec.samples[1]}
            </span>
          </>
        ) : (
          <span>
            items {spec.first}–{spec.first + spec.count - 1}
          </span>
        )}
        <span>{kiln(tile.price)} KILN</span>
      </p>
      {tile.state === "leased" && <p>{percent(tile.progress)} done</p>}
      {problem.value && <Failure problem={problem.value} />}
      {attempts.value === null ? (
        <Loading rows={2} />
      ) : attempts.value.length === 0 ? (
        <p class="hint">Nobody has taken it yet.</p>
      ) : (
        <ol class="attempts">
          {attempts.value.toReversed().map((one) => (
            <AttemptItem key={one.attempt} one={one} />
          ))}
        </ol>
      )}
      {passed && (
        <p>
          <Link class="button small" to={`/audit?job=${store.id}&tile=${index}`}>
            Prove its receipt
          </Link>
        </p>
      )}
    </section>
  );
}

interface Row {
  cell?: number;
  item?: number;
  channel?: string;
  claimed?: unknown;
  recomputed?: unknown;
  rect?: number[];
}

function AttemptItem({ one }: { one: Attempt }) {
  const rows = Array.isArray(one.evidence.differing) ? (one.evidence.differing as Row[]).slice(0, 4) : [];
  const log = typeof one.evidence.log === "string" ? one.evidence.log : "";
  const tone = TONES[one.state] ?? (one.state === "uploaded" ? "check" : "busy");
  return (
    <li>
      <div class="row">
        <strong>{one.node_name || short(one.node)}</strong>
        <Badge tone={tone}>{one.state === "active" ? "at work" : one.state}</Badge>
        <span class="end hint">{clock(one.started_at)}</span>
      </div>
      <p class="facts">
        {one.seconds !== null && <span>{duration(one.seconds)}</span>}
        {one.lane && <span title={LANES[one.lane]}>{one.lane} lane</span>}
        {one.cells.length > 0 && <span>{count(one.cells.length, "cell")} audited</span>}
        {one.state === "active" && one.detail && <span>{one.detail}</span>}
      </p>
      {one.reason && <p class={tone === "bad" ? "error-line" : "hint"}>{one.reason}</p>}
      {rows.length > 0 && (
        <table class="evidence">
          <caption>What differed</caption>
          <thead>
            <tr>
              <th scope="col">Cell</th>
              <th scope="col">Claimed</th>
              <th scope="col">Recomputed</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row, i) => (
              <tr key={i}>
                <th scope="row">
                  {row.cell ?? row.item} {row.channel && <small>{row.channel}</small>}
                </th>
                <td class="mono">{value(row.claimed)}</td>
                <td class="mono">{value(row.recomputed)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {log && (
        <details>
          <summary>The node's log</summary>
          <pre tabIndex={0}>{log}</pre>
        </details>
      )}
    </li>
  );
}

function value(found: unknown): string {
  const first: unknown = Array.isArray(found) ? found[0] : found;
  return typeof first === "number" ? first.toPrecision(7) : String(first ?? "").slice(0, 24);
}
