// One job as it changes: a snapshot of its rows, then its events, applied in order.

import { signal } from "@preact/signals";
import { get, Problem, snapshot } from "../api";
import { Live, painter } from "../live";
import { FINAL } from "../words";
import type { Audited, JobFacts, JobView, LogEntry, OutputView, TileState, TileView } from "../wire";

export interface LiveTile extends TileView {
  /** Attempts that an audit refused. */
  refused: number;
}

interface TileEvent {
  at: number;
  index: number;
  state: TileState;
  node?: string;
  attempt?: number;
  progress?: number;
  seconds?: number;
  verdict?: TileView["verdict"];
  lane?: TileView["lane"];
  lost?: string;
  reason?: string;
}

const LOG_KEPT = 300;
const VIEW_EVERY = 900;

export class JobStore {
  readonly view = signal<JobView | null>(null);
  readonly facts = signal<JobFacts | null>(null);
  readonly outputs = signal<OutputView[]>([]);
  readonly audited = signal<Audited[]>([]);
  readonly log = signal<LogEntry[]>([]);
  readonly problem = signal<Problem | null>(null);
  /** Grows whenever tiles have changed: 2,000 rows are not copied for each event. */
  readonly version = signal(0);
  tiles: LiveTile[] = [];

  private live: Live | null = null;
  private stopped = false;
  private refreshing = 0;
  private readonly paint = painter(() => (this.version.value += 1));
  private fresh: LogEntry[] = [];

  constructor(readonly id: string) {
    void this.load();
  }

  stop(): void {
    this.stopped = true;
    window.clearTimeout(this.refreshing);
    this.live?.stop();
  }

  private async load(): Promise<void> {
    const base = `/v1/jobs/${this.id}`;
    try {
      const [view, tiles] = await Promise.all([get<JobView>(base), snapshot<TileView[]>(`${base}/tiles`)]);
      const refused = new Map<number, number>();
      for (const one of view.rejections) refused.set(one.tile, (refused.get(one.tile) ?? 0) + 1);
      this.tiles = tiles.value.map((tile) => ({ ...tile, refused: refused.get(tile.index) ?? 0 }));
      this.view.value = view;
      this.problem.value = null;
      this.version.value += 1;
      if (this.stopped) return;
      if (!FINAL.has(view.state) && this.live === null) this.follow(tiles.after);
      const [facts, outputs, audited, log] = await Promise.all([
        get<JobFacts>(`${base}/facts`),
        get<OutputView[]>(`${base}/outputs`),
        get<Audited[]>(`${base}/audited`),
        get<LogEntry[]>(`${base}/log?limit=100`),
      ]);
      this.facts.value = facts;
      this.outputs.value = outputs;
      this.audited.value = audited;
      this.log.value = log;
    } catch (error) {
      this.problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
      if (this.problem.value.status === 0 && !this.stopped) window.setTimeout(() => void this.load(), 2000);
    }
  }

  private follow(after: string): void {
    this.live = new Live(
      `/v1/jobs/${this.id}/events`,
      {
        tile: (data: TileEvent, id) => this.onTile(data, id),
        job: (data: { at: number; state?: string }, id) => {
          this.note(id, "job", data);
          this.refresh(data.state !== undefined && data.state !== this.view.value?.state);
        },
        output: (data: OutputView & { at: number }, id) => {
          this.outputs.value = [...this.outputs.value.filter((one) => one.path !== data.path), data];
          this.note(id, "output", data);
          this.refresh();
        },
      },
      after,
    );
  }

  private onTile(event: TileEvent, id: string): void {
    const tile = this.tiles[event.index];
    if (tile === undefined || tile.index !== event.index) {
      this.refresh(true);
      return;
    }
    tile.state = event.state;
    if (event.node !== undefined) tile.node = event.node;
    if (event.attempt !== undefined) tile.attempts = Math.max(tile.attempts, event.attempt);
    if (event.seconds !== undefined) tile.seconds = event.seconds;
    if (event.verdict !== undefined) tile.verdict = event.verdict;
    if (event.lane !== undefined) tile.lane = event.lane;
    tile.progress = event.state === "done" ? 1 : (event.progress ?? (event.state === "leased" ? 0 : tile.progress));
    if (event.state === "pending") {
      tile.node = null;
      tile.progress = 0;
      tile.seconds = null;
    }
    if (event.lost === "rejected") tile.refused += 1;
    if (event.progress === undefined) this.note(id, "tile", event);
    this.paint(event.at);
    if (event.state === "done" || event.lost !== undefined) this.refresh();
  }

  private note(id: string, type: string, data: { at: number }): void {
    this.fresh.unshift({ id: Number(id), type, at: data.at, data: data as unknown as Record<string, unknown> });
    requestAnimationFrame(() => {
      if (this.fresh.length === 0) return;
      this.log.value = [...this.fresh, ...this.log.value].slice(0, LOG_KEPT);
      this.fresh = [];
    });
  }

  /** Sums (cost, time left, audited cells) are the gateway's; asked for at most about once a second. */
  private refresh(whole = false): void {
    if (whole) {
      window.clearTimeout(this.refreshing);
      this.refreshing = window.setTimeout(() => void this.again(true));
    } else if (this.refreshing === 0) {
      this.refreshing = window.setTimeout(() => void this.again(false), VIEW_EVERY);
    }
  }

  private async again(whole: boolean): Promise<void> {
    const base = `/v1/jobs/${this.id}`;
    try {
      const [view, facts, audited] = await Promise.all([
        get<JobView>(base),
        get<JobFacts>(`${base}/facts`),
        get<Audited[]>(`${base}/audited`),
      ]);
      this.view.value = view;
      this.facts.value = facts;
      this.audited.value = audited;
      if (FINAL.has(view.state)) {
        this.live?.stop();
        this.live = null;
      }
    } catch {
      // The next event asks again; the stream itself says that the gateway is away.
    }
    this.refreshing = 0;
    if (whole && !this.stopped) await this.load();
  }

  /** What a person orders: pause, resume, cancel. */
  async steered(view: JobView): Promise<void> {
    this.view.value = view;
    this.refresh();
  }
}
