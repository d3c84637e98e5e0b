// Where tiles lie on the map: pixels of the frame for a render, a grid for a batch.

import type { JobFacts } from "../wire";
import type { LiveTile } from "./store";

export interface Placed {
  tile: LiveTile;
  /** In units of the map. */
  x: number;
  y: number;
  width: number;
  height: number;
  /** Of several sample ranges of one rectangle: which strip of it this one is. */
  part: number;
  parts: number;
}

export interface Layout {
  width: number;
  height: number;
  placed: Placed[];
}

export function layoutFrame(tiles: LiveTile[], facts: JobFacts, frame: number): Layout {
  const [x0, y0, x1, y1] = facts.window ?? [0, 0, facts.width || 1, facts.height || 1];
  const here = tiles.filter((one) => one.tile.kind === "render" && one.tile.frames.includes(frame));
  const ranges = new Map<string, number>();
  const key = (tile: LiveTile) => (tile.tile.kind === "render" ? tile.tile.rect.join() : "");
  for (const tile of here) ranges.set(key(tile), (ranges.get(key(tile)) ?? 0) + 1);
  const seen = new Map<string, number>();
  const placed = here.flatMap((tile): Placed[] => {
    if (tile.tile.kind !== "render") return [];
    const [left, top, right, bottom] = tile.tile.rect;
    const parts = ranges.get(key(tile)) ?? 1;
    const part = seen.get(key(tile)) ?? 0;
    seen.set(key(tile), part + 1);
    return [{ tile, x: left - x0, y: top - y0, width: right - left, height: bottom - top, part, parts }];
  });
  return { width: x1 - x0, height: y1 - y0, placed };
}

export function layoutBatch(tiles: LiveTile[]): Layout {
  const columns = Math.max(1, Math.ceil(Math.sqrt(tiles.length * 2.4)));
  const rows = Math.max(1, Math.ceil(tiles.length / columns));
  const placed = tiles.map((tile, i) => ({
    tile,
    x: i % columns,
    y: Math.floor(i / columns),
    width: 1,
    height: 1,
    part: 0,
    parts: 1,
  }));
  return { width: columns, height: rows, placed };
}

/** The index in `placed` of the neighbour in a direction, or the same one at the edge. */
export function neighbour(layout: Layout, from: number, key: string): number {
  const start = layout.placed[from];
  if (start === undefined) return 0;
  if (key === "Home") return 0;
  if (key === "End") return layout.placed.length - 1;
  const centre = (one: Placed) => ({
    x: one.x + one.width / 2,
    y: one.y + (one.height * (one.part + 0.5)) / one.parts,
  });
  const at = centre(start);
  const dx = key === "ArrowLeft" ? -1 : key === "ArrowRight" ? 1 : 0;
  const dy = key === "ArrowUp" ? -1 : key === "ArrowDown" ? 1 : 0;
  let best = from;
  let least = Infinity;
  layout.placed.forEach((one, i) => {
    const to = centre(one);
    const along = (to.x - at.x) * dx + (to.y - at.y) * dy;
    const aside = Math.abs((to.x - at.x) * dy) + Math.abs((to.y - at.y) * dx);
    if (along > 1e-9 && along + 4 * aside < least) {
      least = along + 4 * aside;
      best = i;
    }
  });
  return best;
}
