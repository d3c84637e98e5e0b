// One stream of server-sent events, resumed after the last one seen. Closed while nobody looks at the page, so that
// many tabs do not use up the browser's connections.

import { signal } from "@preact/signals";

export type Connection = "connecting" | "live" | "away";
/** Of the view that is shown; null where it follows nothing. */
export const connection = signal<Connection | null>(null);

type Handler = (data: never, id: string) => void;

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

export class Live {
  private source: EventSource | null = null;
  private timer = 0;
  private pause = FIRST_PAUSE;
  private ended = false;

  /** `path` without the place to resume after; `after` is that place, or null for streams that begin anew. */
  constructor(
    private readonly path: string,
    private readonly handlers: Record<string, Handler>,
    private after: string | null = null,
  ) {
    document.addEventListener("visibilitychange", this.look);
    window.addEventListener("online", this.look);
    connection.value = "connecting";
    this.open();
  }

  stop(): void {
    this.ended = true;
    document.removeEventListener("visibilitychange", this.look);
    window.removeEventListener("online", this.look);
    this.close();
    connection.value = null;
  }

  private readonly look = (): void => {
    if (document.hidden) this.close();
    else if (this.source === null) this.open();
  };

  private close(): void {
    window.clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  private open(): void {
    this.close();
    if (this.ended || document.hidden) return;
    const source = new EventSource(this.after === null ? this.path : `${this.path}?after=${this.after}`);
    this.source = source;
    source.onopen = () => {
      this.pause = FIRST_PAUSE;
      connection.value = "live";
    };
    source.onerror = () => {
      if (this.ended) return;
      connection.value = "away";
      // Not left to the browser: it gives up at the first answer that is no stream.
      this.close();
      this.timer = window.setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    };
    for (const [name, handle] of Object.entries(this.handlers)) {
      source.addEventListener(name, (event) => {
        const message = event as MessageEvent<string>;
        if (message.lastEventId && this.after !== null) this.after = message.lastEventId;
        handle(JSON.parse(message.data) as never, message.lastEventId);
      });
    }
  }
}

/** Calls `paint` once for all that happens before the next frame, and notes when it was on the screen. */
export function painter(paint: () => void): (at?: number) => void {
  let due = false;
  let oldest = 0;
  return (at) => {
    if (at !== undefined && (oldest === 0 || at < oldest)) oldest = at;
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      const happened = oldest;
      oldest = 0;
      paint();
      // The task after a frame begins when that frame is drawn.
      if (happened) setTimeout(() => shown(happened));
    });
  };
}

function shown(happened: number): void {
  performance.clearMarks("kilnet:shown");
  performance.mark("kilnet:shown", { detail: { happened } });
}
