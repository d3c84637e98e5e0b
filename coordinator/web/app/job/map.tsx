// One frame (or batch): its picture as far as it has come, and the map of its tiles over it.

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { percent } from "../format";
import { tileWord } from "../words";
import { Compare } from "./compare";
import { draw, hit, type Mode, palette } from "./draw";
import { layoutBatch, layoutFrame, neighbour } from "./layout";
import { useLivePicture } from "./picture";
import type { JobStore } from "./store";

interface MapProps {
  store: JobStore;
  frame: number | null;
  selected: number | null;
  select: (tile: number) => void;
}

type View = Mode | "compare";

export function TileMap({ store, frame, selected, select }: MapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frameNow = useSignal(frame);
  const chosen = useSignal(selected);
  frameNow.value = frame;
  chosen.value = selected;
  const facts = store.facts.value;
  const render = store.view.value?.kind === "render";
  const view = useSignal<View>(render ? "picture" : "tiles");
  const size = useSignal(0);

  const layout = useComputed(() => {
    store.version.value;
    const facts = store.facts.value;
    if (facts === null) return { width: 16, height: 9, placed: [] };
    return frameNow.value === null ? layoutBatch(store.tiles) : layoutFrame(store.tiles, facts, frameNow.value);
  });
  const audited = useComputed(() => Map.groupBy(store.audited.value, (one) => one.tile));
  const done = layout.value.placed.filter((one) => one.tile.state === "done").length;
  const live = useLivePicture(render && frame !== null ? `/v1/jobs/${store.id}/frames/${frame}/live.png` : null, done);
  const delivered = store.outputs.value.some((one) => one.kind === "image" && one.frame === frame);
  const hasReference = render && facts !== null && facts.reference_frame === frame;

  useSignalEffect(() => {
    store.version.value;
    size.value;
    const mode = view.value;
    if (canvas.current === null || mode === "compare") return;
    const scene = {
      layout: layout.value,
      mode,
      selected: chosen.value,
      audited: audited.value,
      cellSide: store.facts.value?.cell_side || 8,
    };
    draw(canvas.current, scene, palette(canvas.current));
  });

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const again = () => (size.value += 1);
    const observer = new ResizeObserver(again);
    observer.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    document.addEventListener("kilnet:theme", again);
    return () => {
      observer.disconnect();
      scheme.removeEventListener("change", again);
      document.removeEventListener("kilnet:theme", again);
    };
  }, [view.value === "compare"]);

  const onKey = (event: KeyboardEvent) => {
    if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const placed = layout.value.placed;
    const at = placed.findIndex((one) => one.tile.index === selected);
    const to = placed[at < 0 ? 0 : neighbour(layout.value, at, event.key)];
    if (to !== undefined) select(to.tile.index);
  };
  const onClick = (event: MouseEvent) => {
    const found = canvas.current && hit(canvas.current, layout.value, event.offsetX, event.offsetY);
    if (found) select(found.tile.index);
  };

  const tile = selected === null ? undefined : store.tiles[selected];
  const said = tile
    ? `Tile ${tile.index}, ${tileWord(tile.state, store.view.value?.kind ?? "render")}${tile.state === "leased" ? `, ${percent(tile.progress)}` : ""}`
    : "";
  const views: [View, string][] = [
    ...(render ? ([["picture", "Picture"]] as [View, string][]) : []),
    ["tiles", "Tiles"],
    ["cells", render ? "Audited cells" : "Audited items"],
    ...(hasReference ? ([["compare", "Compare"]] as [View, string][]) : []),
  ];
  if (!views.some(([name]) => name === view.value)) view.value = views[0]?.[0] ?? "tiles";
  const after = delivered ? `/v1/jobs/${store.id}/frames/${frame}/result.png` : live.value;
  const aspect = `${layout.value.width} / ${layout.value.height}`;
  return (
    <figure class="map">
      <fieldset class="segments">
        <legend class="sr">What the map shows</legend>
        {views.map(([name, word]) => (
          <label key={name}>
            <input type="radio" name="map-view" checked={view.value === name} onChange={() => (view.value = name)} />
            <span>{word}</span>
          </label>
        ))}
      </fieldset>
      {view.value === "compare" ? (
        <Compare
          aspect={aspect}
          before={`/v1/jobs/${store.id}/frames/${frame}/reference.png`}
          after={after}
          partial={!delivered}
        />
      ) : (
        <div class={`stage ${render ? "" : "batch"}`} style={{ aspectRatio: aspect }}>
          {render && view.value === "picture" && (
            <>
              {hasReference && !delivered && (
                <img class="under" src={`/v1/jobs/${store.id}/frames/${frame}/reference.png`} alt="" />
              )}
              {after && (
                <img src={after} alt={delivered ? `Frame ${frame}` : `Frame ${frame} so far, ${done} tiles`} />
              )}
            </>
          )}
          <canvas
            ref={canvas}
            tabIndex={0}
            role="application"
            aria-roledescription="map of tiles"
            aria-label={`${layout.value.placed.length} tiles, ${done} passed. Arrow keys choose a tile.`}
            onKeyDown={onKey}
            onClick={onClick}
          />
          <p class="sr" aria-live="polite">
            {said}
          </p>
        </div>
      )}
      <Legend view={view.value} render={render} delivered={delivered} />
    </figure>
  );
}

function Legend({ view, render, delivered }: { view: View; render: boolean; delivered: boolean }) {
  if (view === "compare") return null;
  if (view === "cells")
    return (
      <figcaption class="legend">
        <span>
          <i class="key heat1" /> audited once
        </span>
        <span>
          <i class="key heat5" /> more often
        </span>
        <span>
          <i class="key ring" /> came out otherwise
        </span>
        <span class="hint">Cells are drawn after the node has committed to all of them.</span>
      </figcaption>
    );
  if (view === "picture" && delivered)
    return <figcaption class="legend hint">The delivered frame, scaled down. The files below have every pixel.</figcaption>;
  return (
    <figcaption class="legend">
      <span>
        <i class="key idle" /> waiting
      </span>
      <span>
        <i class="key busy" /> {render ? "rendering" : "computing"}
      </span>
      <span>
        <i class="key check" /> being proven
      </span>
      {view === "tiles" && (
        <span>
          <i class="key good" /> passed
        </span>
      )}
      <span>
        <i class="key bad" /> was refused once
      </span>
      {view === "picture" && <span class="hint">Tiles appear as they pass, in plain sRGB.</span>}
    </figcaption>
  );
}
