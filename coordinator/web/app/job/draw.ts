// The map of tiles on a canvas. States differ by shape as well as by colour: a dot field waits, a bar fills, stripes
// are being proven, a cross was refused.

import type { Audited } from "../wire";
import type { Layout, Placed } from "./layout";

export type Mode = "picture" | "tiles" | "cells";

interface Palette {
  idle: string;
  busy: string;
  check: string;
  good: string;
  bad: string;
  line: string;
  ground: string;
  focus: string;
  heat: string[];
}

export function palette(element: Element): Palette {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    idle: read("tile-idle"),
    busy: read("tile-busy"),
    check: read("tile-check"),
    good: read("tile-good"),
    bad: read("tile-bad"),
    line: read("tile-line"),
    ground: read("tile-ground"),
    focus: read("focus"),
    heat: [1, 2, 3, 4, 5].map((step) => read(`heat-${step}`)),
  };
}

export interface Scene {
  layout: Layout;
  mode: Mode;
  selected: number | null;
  audited: Map<number, Audited[]>;
  cellSide: number;
}

export function draw(canvas: HTMLCanvasElement, scene: Scene, colours: Palette): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.clearRect(0, 0, width, height);
  const sx = width / scene.layout.width;
  const sy = height / scene.layout.height;
  for (const one of scene.layout.placed) {
    const box = boxOf(one, sx, sy);
    if (scene.mode === "cells") ground(context, one, box, colours);
    else state(context, one, box, colours, scene.mode === "picture", ratio);
  }
  if (scene.mode === "cells") cells(context, scene, sx, sy, colours, ratio);
  const chosen = scene.selected === null ? undefined : scene.layout.placed.find((one) => one.tile.index === scene.selected);
  if (chosen !== undefined) outline(context, boxOf(chosen, sx, sy), colours, ratio);
}

interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

function boxOf(one: Placed, sx: number, sy: number): Box {
  const top = one.y + (one.height * one.part) / one.parts;
  const bottom = one.y + (one.height * (one.part + 1)) / one.parts;
  const x = Math.round(one.x * sx);
  const y = Math.round(top * sy);
  return { x, y, w: Math.max(1, Math.round((one.x + one.width) * sx) - x), h: Math.max(1, Math.round(bottom * sy) - y) };
}

function ground(context: CanvasRenderingContext2D, one: Placed, box: Box, colours: Palette): void {
  context.fillStyle = one.tile.state === "done" ? colours.idle : colours.ground;
  context.fillRect(box.x, box.y, box.w - 1, box.h - 1);
}

function state(
  context: CanvasRenderingContext2D,
  one: Placed,
  { x, y, w, h }: Box,
  colours: Palette,
  overPicture: boolean,
  ratio: number,
): void {
  const { tile } = one;
  const gap = w > 6 * ratio && h > 6 * ratio ? ratio : w > 3 && h > 3 ? 1 : 0;
  const bw = Math.max(1, w - gap);
  const bh = Math.max(1, h - gap);
  if (tile.state === "done") {
    if (!overPicture) {
      context.fillStyle = colours.good;
      context.fillRect(x, y, bw, bh);
    }
  } else {
    context.globalAlpha = overPicture ? 0.55 : 1;
    context.fillStyle = tile.state === "failed" ? colours.bad : overPicture ? colours.ground : colours.idle;
    context.fillRect(x, y, bw, bh);
    context.globalAlpha = 1;
  }
  if (tile.state === "leased") {
    context.globalAlpha = overPicture ? 0.85 : 1;
    context.fillStyle = colours.busy;
    const bar = Math.max(2 * ratio, Math.min(bh, Math.round(bh * (overPicture ? 0.12 : 1))));
    context.fillRect(x, y + bh - bar, Math.max(2, Math.round(bw * Math.max(0.04, tile.progress))), bar);
    context.globalAlpha = 1;
    frameBox(context, x, y, bw, bh, colours.busy, ratio);
  } else if (tile.state === "checking") {
    stripes(context, x, y, bw, bh, colours.check, ratio);
    frameBox(context, x, y, bw, bh, colours.check, ratio);
  } else if ((tile.state === "pending" || tile.state === "held") && bw > 7 * ratio && bh > 7 * ratio) {
    context.fillStyle = colours.line;
    const dot = Math.max(1, ratio);
    context.fillRect(x + bw / 2 - dot, y + bh / 2 - dot, 2 * dot, 2 * dot);
  }
  if (tile.refused > 0 || tile.state === "failed") cross(context, x, y, bw, bh, colours, ratio);
}

function frameBox(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  h: number,
  colour: string,
  ratio: number,
): void {
  if (w < 4 * ratio || h < 4 * ratio) return;
  context.strokeStyle = colour;
  context.lineWidth = ratio;
  context.strokeRect(x + ratio / 2, y + ratio / 2, w - ratio, h - ratio);
}

function stripes(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  h: number,
  colour: string,
  ratio: number,
): void {
  if (w < 6 || h < 6) {
    context.fillStyle = colour;
    context.fillRect(x, y, w, h);
    return;
  }
  context.save();
  context.beginPath();
  context.rect(x, y, w, h);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  for (let at = -h; at < w; at += 6 * ratio) {
    context.moveTo(x + at, y + h);
    context.lineTo(x + at + h, y);
  }
  context.stroke();
  context.restore();
}

/** A refused attempt stays to be seen, also when the tile has passed elsewhere since. */
function cross(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  h: number,
  colours: Palette,
  ratio: number,
): void {
  const side = Math.max(3, Math.min(9 * ratio, w * 0.6, h * 0.6));
  context.fillStyle = colours.bad;
  context.beginPath();
  context.moveTo(x + w - 1.6 * side, y);
  context.lineTo(x + w, y);
  context.lineTo(x + w, y + 1.6 * side);
  context.fill();
  if (side < 6) return;
  context.strokeStyle = "#fff";
  context.lineWidth = 1.4 * ratio;
  const [cx, cy, arm] = [x + w - 0.52 * side, y + 0.52 * side, 0.24 * side];
  context.beginPath();
  context.moveTo(cx - arm, cy - arm);
  context.lineTo(cx + arm, cy + arm);
  context.moveTo(cx + arm, cy - arm);
  context.lineTo(cx - arm, cy + arm);
  context.stroke();
}

function outline(context: CanvasRenderingContext2D, { x, y, w, h }: Box, colours: Palette, ratio: number): void {
  context.lineWidth = 4 * ratio;
  context.strokeStyle = colours.ground;
  context.strokeRect(x, y, w, h);
  context.lineWidth = 2 * ratio;
  context.strokeStyle = colours.focus;
  context.strokeRect(x, y, w, h);
}

/** Where cells were audited, darker where more often; those that came out otherwise are ringed and crossed. */
function cells(
  context: CanvasRenderingContext2D,
  scene: Scene,
  sx: number,
  sy: number,
  colours: Palette,
  ratio: number,
): void {
  const counts = new Map<string, { x: number; y: number; w: number; h: number; times: number; bad: boolean }>();
  for (const one of scene.layout.placed) {
    for (const audit of scene.audited.get(one.tile.index) ?? []) {
      const bad = new Set(audit.differing);
      for (const cell of audit.cells) {
        const place = cellPlace(one, cell, scene.cellSide);
        if (place === null) continue;
        const key = `${place.x},${place.y}`;
        const found = counts.get(key) ?? { ...place, times: 0, bad: false };
        found.times += 1;
        found.bad ||= bad.has(cell);
        counts.set(key, found);
      }
    }
  }
  const least = 3 * ratio;
  for (const cell of counts.values()) {
    const w = Math.max(least, cell.w * sx);
    const h = Math.max(least, cell.h * sy);
    const x = (cell.x + cell.w / 2) * sx - w / 2;
    const y = (cell.y + cell.h / 2) * sy - h / 2;
    context.fillStyle = colours.heat[Math.min(cell.times, colours.heat.length) - 1] ?? colours.good;
    context.fillRect(x, y, w, h);
    if (cell.bad) {
      const ring = Math.max(7 * ratio, w);
      context.strokeStyle = colours.bad;
      context.lineWidth = 2 * ratio;
      context.strokeRect(x + w / 2 - ring / 2, y + h / 2 - ring / 2, ring, ring);
      context.beginPath();
      context.moveTo(x + w / 2 - ring / 2, y + h / 2 - ring / 2);
      context.lineTo(x + w / 2 + ring / 2, y + h / 2 + ring / 2);
      context.stroke();
    }
  }
}

function cellPlace(one: Placed, cell: number, side: number): Box | null {
  if (one.tile.tile.kind === "infer") {
    const count = one.tile.tile.count;
    return { x: one.x + ((cell + 0.5) / count) * 0.9, y: one.y + 0.15, w: 0.9 / Math.max(8, count), h: 0.6 };
  }
  const columns = Math.ceil(one.width / side);
  const rows = Math.ceil(one.height / side);
  const inside = cell % (columns * rows);
  const column = inside % columns;
  const row = Math.floor(inside / columns);
  return {
    x: one.x + column * side,
    y: one.y + row * side,
    w: Math.min(side, one.width - column * side),
    h: Math.min(side, one.height - row * side),
  };
}

/** Which tile lies at a place of the canvas, in CSS pixels. */
export function hit(canvas: HTMLCanvasElement, layout: Layout, x: number, y: number): Placed | undefined {
  const at = { x: (x / canvas.clientWidth) * layout.width, y: (y / canvas.clientHeight) * layout.height };
  return layout.placed.find((one) => {
    const top = one.y + (one.height * one.part) / one.parts;
    const bottom = one.y + (one.height * (one.part + 1)) / one.parts;
    return at.x >= one.x && at.x < one.x + one.width && at.y >= top && at.y < bottom;
  });
}
