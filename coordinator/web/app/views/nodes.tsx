// Who works: a table that can be sorted, one's own nodes on top, and what is known of each.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { account } from "../api";
import { ago, count, dollars, kiln, percent, short } from "../format";
import { Live, painter } from "../live";
import type { NodeView } from "../wire";
import { Badge, Loading, Notice, Stat } from "./parts";

type Column = "name" | "score" | "reputation" | "ask" | "tiles" | "earned" | "seen";
const COLUMNS: [Column, string, boolean][] = [
  ["name", "Node", false],
  ["score", "Score", true],
  ["reputation", "Reputation", true],
  ["ask", "Asks, per kiln-hour", true],
  ["tiles", "Tiles", true],
  ["earned", "Earned", true],
  ["seen", "Seen", true],
];
const PAGE = 50;

const score = (node: NodeView) => Math.max(0, ...node.runtimes.map((one) => one.score));
const judged = (node: NodeView) => node.tiles_accepted + node.tiles_rejected;
/** As the auction counts it; shown only once a tile was judged. */
const reputation = (node: NodeView) => (judged(node) ? node.reputation : null);

const VALUE: Record<Column, (node: NodeView) => number | string | bigint> = {
  name: (node) => (node.name || node.address).toLowerCase(),
  score,
  reputation: (node) => reputation(node) ?? -1,
  ask: (node) => node.ask_usd_per_kiln_hour,
  tiles: (node) => node.tiles_accepted,
  earned: (node) => BigInt(node.earned),
  seen: (node) => node.last_seen,
};

export function Nodes() {
  const nodes = useSignal<NodeView[] | null>(null);
  const by = useSignal<Column>("earned");
  const down = useSignal(true);
  const search = useSignal("");
  const online = useSignal(false);
  const page = useSignal(0);

  useEffect(() => {
    const rows = new Map<string, NodeView>();
    const paint = painter(() => (nodes.value = [...rows.values()]));
    const live = new Live("/v1/nodes/events", {
      nodes: (data: { rows: NodeView[]; gone: string[]; at?: number }) => {
        for (const row of data.rows) rows.set(row.address, row);
        for (const gone of data.gone) rows.delete(gone);
        paint(data.at);
      },
    });
    return () => live.stop();
  }, []);

  const me = account.value?.address?.toLowerCase();
  const mine = (node: NodeView) => node.owner.toLowerCase() === me || node.address.toLowerCase() === me;
  const sorted = useComputed(() => {
    const words = search.value.trim().toLowerCase();
    const value = VALUE[by.value];
    return (nodes.value ?? [])
      .filter((node) => !online.value || node.online)
      .filter((node) => !words || `${node.name} ${node.address} ${node.region}`.toLowerCase().includes(words))
      .sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const order = x < y ? -1 : x > y ? 1 : a.address < b.address ? -1 : 1;
        return down.value ? -order : order;
      });
  });
  const all = nodes.value;
  if (all === null)
    return (
      <>
        <h1 tabIndex={-1}>Nodes</h1>
        <Loading rows={8} />
      </>
    );
  const own = all.filter(mine);
  const strangers = all.filter((node) => !node.trusted);
  const pages = Math.max(1, Math.ceil(sorted.value.length / PAGE));
  const at = Math.min(page.value, pages - 1);
  const sort = (column: Column) => {
    if (by.value === column) down.value = !down.value;
    else {
      by.value = column;
      down.value = column !== "name" && column !== "ask";
    }
  };
  return (
    <>
      <h1 tabIndex={-1}>Nodes</h1>
      <dl class="stats">
        <Stat label="Online" value={strangers.filter((node) => node.online).length} more={`of ${strangers.length}`} />
        <Stat label="Together" value={strangers.filter((node) => node.online).reduce((sum, node) => sum + score(node), 0).toFixed(1)} more="kiln-hours an hour" />
        <Stat label="Suspended" value={strangers.filter((node) => node.suspended).length} />
        {own.length > 0 && <Stat label="Yours have earned" value={`${kiln(own.reduce((sum, node) => sum + BigInt(node.earned), 0n))} KILN`} more={count(own.length, "node")} />}
      </dl>
      {own.length > 0 && (
        <section class="card">
          <h2>Your nodes</h2>
          <Table rows={own} by={by.value} down={down.value} sort={sort} label="Your nodes" />
        </section>
      )}
      <section class="card">
        <div class="row">
          <h2>All nodes</h2>
          <label class="check end">
            <input type="checkbox" checked={online.value} onChange={(event) => (online.value = event.currentTarget.checked)} />
            online only
          </label>
          <label class="field inline">
            <span class="sr">Search</span>
            <input type="search" placeholder="Name, address, region" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
          </label>
        </div>
        {all.length === 0 ? (
          <Notice title="No node has registered yet">
            <code>kilnet node run --gateway URL --data FOLDER</code> makes this machine one.
          </Notice>
        ) : sorted.value.length === 0 ? (
          <p class="hint">No node is like that.</p>
        ) : (
          <Table rows={sorted.value.slice(at * PAGE, (at + 1) * PAGE)} by={by.value} down={down.value} sort={sort} label="All nodes" />
        )}
        {pages > 1 && (
          <nav class="pager" aria-label="Pages of nodes">
            <button type="button" class="button quiet small" disabled={at === 0} onClick={() => (page.value = at - 1)}>
              Before
            </button>
            <span>
              {at * PAGE + 1}–{Math.min((at + 1) * PAGE, sorted.value.length)} of {count(sorted.value.length, "node")}
            </span>
            <button type="button" class="button quiet small" disabled={at >= pages - 1} onClick={() => (page.value = at + 1)}>
              Next
            </button>
          </nav>
        )}
      </section>
    </>
  );
}

interface TableProps {
  rows: NodeView[];
  by: Column;
  down: boolean;
  sort: (column: Column) => void;
  label: string;
}

function Table({ rows, by, down, sort, label }: TableProps) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table class="nodes">
        <thead>
          <tr>
            {COLUMNS.map(([column, word, number]) => (
              <th key={column} scope="col" class={number ? "number" : undefined} aria-sort={by === column ? (down ? "descending" : "ascending") : "none"}>
                <button type="button" class="sort" onClick={() => sort(column)}>
                  {word}
                  <span aria-hidden="true">{by === column ? (down ? " ↓" : " ↑") : ""}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((node) => (
            <Row key={node.address} node={node} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ node }: { node: NodeView }) {
  const share = reputation(node);
  const devices = [...new Set(node.runtimes.map((one) => `${one.runtime} ${one.version} on ${one.device}`))].join(", ");
  return (
    <tr>
      <th scope="row">
        <span class="node-name">
          <Badge tone={node.suspended ? "bad" : node.online ? "good" : "idle"}>
            <span class="sr">{node.suspended ? "suspended" : node.online ? "online" : "away"}</span>
          </Badge>
          <span>
            {node.name || short(node.address)}
            {node.trusted && <small class="tag">trusted</small>}
            {!node.sandboxed && <small class="tag warn">no sandbox</small>}
            <small title={devices}>
              <span class="mono">{short(node.address)}</span>
              {node.region && ` · ${node.region}`}
            </small>
            {node.suspended && <small class="error-line">{node.suspended}</small>}
          </span>
        </span>
      </th>
      <td class="number">{score(node).toFixed(2)}</td>
      <td class="number">
        {share === null ? <span class="hint">new</span> : percent(share)}
        {node.suspicion > 0 && <small>watched</small>}
      </td>
      <td class="number">{node.trusted ? "–" : dollars(node.ask_usd_per_kiln_hour)}</td>
      <td class="number">
        {node.tiles_accepted.toLocaleString("en")}
        {node.audits > 0 && <small>{count(node.audits, "audit")}</small>}
        {node.tiles_rejected > 0 && <small class="refused">{node.tiles_rejected} refused</small>}
      </td>
      <td class="number">{BigInt(node.earned) > 0n ? kiln(node.earned) : "–"}</td>
      <td class="number">{node.online ? "now" : ago(node.last_seen)}</td>
    </tr>
  );
}
