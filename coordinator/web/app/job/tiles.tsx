// The tiles as a table: the same as the map, to be read, sorted out and walked through by keyboard.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../api";
import { count, duration, percent, short } from "../format";
import { Badge } from "../views/parts";
import { TILE_STATES, tileWord } from "../words";
import type { NodeView } from "../wire";
import type { JobStore, LiveTile } from "./store";

const PAGE = 25;
type Filter = "all" | "under way" | "waiting" | "passed" | "refused";
const FILTERS: Record<Filter, (tile: LiveTile) => boolean> = {
  all: () => true,
  "under way": (tile) => tile.state === "leased" || tile.state === "checking",
  waiting: (tile) => tile.state === "pending" || tile.state === "held",
  passed: (tile) => tile.state === "done",
  refused: (tile) => tile.refused > 0 || tile.state === "failed",
};

interface TableProps {
  store: JobStore;
  selected: number | null;
  select: (tile: number) => void;
}

export function TileTable({ store, selected, select }: TableProps) {
  const filter = useSignal<Filter>("all");
  const page = useSignal(0);
  const names = useSignal(new Map<string, string>());
  useEffect(() => {
    get<NodeView[]>("/v1/nodes?limit=1000").then(
      (nodes) => (names.value = new Map(nodes.map((node) => [node.address, node.name]))),
      () => undefined, // addresses do
    );
  }, []);
  const kind = store.view.value?.kind ?? "render";
  const found = useComputed(() => {
    store.version.value;
    return store.tiles.filter(FILTERS[filter.value]);
  });
  const pages = Math.max(1, Math.ceil(found.value.length / PAGE));
  const at = Math.min(page.value, pages - 1);
  const rows = found.value.slice(at * PAGE, (at + 1) * PAGE);
  return (
    <section class="card tiles">
      <div class="row">
        <h2>Tiles</h2>
        <label class="field inline end">
          <span class="sr">Show</span>
          <select
            value={filter.value}
            onChange={(event) => {
              filter.value = event.currentTarget.value as Filter;
              page.value = 0;
            }}
          >
            {Object.keys(FILTERS).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {rows.length === 0 ? (
        <p class="hint">{store.tiles.length === 0 ? "Tiles are planned once the escrow is open." : "None of these."}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table of tiles">
          <table>
            <thead>
              <tr>
                <th scope="col">Tile</th>
                <th scope="col">State</th>
                <th scope="col">Node</th>
                <th scope="col" class="number">Time</th>
                <th scope="col">Lane</th>
                <th scope="col">Verdict</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((tile) => (
                <tr key={tile.index} class={tile.index === selected ? "chosen" : undefined}>
                  <th scope="row">
                    <button type="button" class="link" onClick={() => select(tile.index)} aria-label={`Tile ${tile.index}`}>
                      {tile.index}
                      {tile.tile.kind === "render" && <small> f{tile.tile.frames[0]}</small>}
                    </button>
                  </th>
                  <td>
                    <Badge tone={TILE_STATES[tile.state].tone}>
                      {tileWord(tile.state, kind)}
                      {tile.state === "leased" && ` ${percent(tile.progress)}`}
                    </Badge>
                  </td>
                  <td>{tile.node ? names.value.get(tile.node) || short(tile.node) : "–"}</td>
                  <td class="number">{tile.seconds === null ? "–" : duration(tile.seconds)}</td>
                  <td>{tile.lane ?? "–"}</td>
                  <td>
                    {tile.state === "done" ? (tile.verdict ?? "accept") : "–"}
                    {tile.refused > 0 && <small class="refused">{tile.refused} refused before</small>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {pages > 1 && (
        <nav class="pager" aria-label="Pages of tiles">
          <button type="button" class="button quiet small" disabled={at === 0} onClick={() => (page.value = at - 1)}>
            Before
          </button>
          <span>
            {at * PAGE + 1}–{Math.min((at + 1) * PAGE, found.value.length)} of {count(found.value.length, "tile")}
          </span>
          <button type="button" class="button quiet small" disabled={at >= pages - 1} onClick={() => (page.value = at + 1)}>
            Next
          </button>
        </nav>
      )}
    </section>
  );
}
