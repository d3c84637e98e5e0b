// Bars per epoch, drawn by uPlot.

import uPlot from "uplot";
import { kilnNumber } from "../format";
import type { Ledger } from "../wire";

/** Draws into `place` until the returned function is called. */
export function chart(place: HTMLElement, epochs: Ledger["epochs"]): () => void {
  const rows = epochs.slice(0, 40).reverse();
  const style = () => getComputedStyle(place);
  const colour = (name: string) => style().getPropertyValue(`--${name}`).trim();
  const bars = (align: 1 | -1) => uPlot.paths.bars?.({ size: [0.42, 36], align, radius: 0.2 }) ?? (() => null);
  const axis = { stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, font: "12px Inter Variable, sans-serif" };
  const height = 240;
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: (_, low, high) => [low - 0.7, high + 0.7] }, y: { range: (_, __, high) => [0, high * 1.08 || 1] } },
      axes: [
        { ...axis, grid: { show: false }, values: (_, marks) => marks.map((mark) => (Number.isInteger(mark) ? String(mark) : "")) },
        { ...axis, size: 56 },
      ],
      series: [
        {},
        { label: "burned", fill: () => colour("burned"), stroke: () => colour("burned"), width: 0, paths: bars(-1), points: { show: false } },
        { label: "minted", fill: () => colour("minted"), stroke: () => colour("minted"), width: 0, paths: bars(1), points: { show: false } },
      ],
    },
    [rows.map((one) => one.number), rows.map((one) => kilnNumber(one.burned)), rows.map((one) => kilnNumber(one.minted))],
    place,
  );
  const observer = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height }));
  observer.observe(place);
  const again = () => plot.redraw();
  document.addEventListener("kilnet:theme", again);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", again);
  return () => {
    observer.disconnect();
    document.removeEventListener("kilnet:theme", again);
    scheme.removeEventListener("change", again);
    plot.destroy();
  };
}
