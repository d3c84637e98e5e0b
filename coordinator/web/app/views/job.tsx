// One job: its frames as they fill, its tiles, what it costs, what happened, what it delivered.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { account, post, Problem } from "../api";
import { bytes, count, sentence } from "../format";
import { Change, type Wish } from "../job/change";
import { Frames } from "../job/frames";
import { Log } from "../job/log";
import { TileMap } from "../job/map";
import { Money } from "../job/money";
import { Noise } from "../job/noise";
import { JobStore } from "../job/store";
import { TilePanel } from "../job/tile";
import { TileTable } from "../job/tiles";
import { FINAL, JOB_STATES } from "../words";
import type { JobView, OutputView } from "../wire";
import { Link } from "../router";
import { Badge, Failure, Loading, Notice } from "./parts";

export function JobPage({ id }: { id: string }) {
  const store = useMemo(() => new JobStore(id), [id]);
  useEffect(() => () => store.stop(), [store]);
  const frame = useSignal<number | null>(null);
  const selected = useSignal<number | null>(null);
  const problem = useSignal<Problem | null>(null);

  const job = store.view.value;
  if (job === null) return store.problem.value ? <Failure problem={store.problem.value} /> : <Loading rows={8} />;
  const facts = store.facts.value;
  const state = JOB_STATES[job.state] ?? { word: job.state, tone: "idle" as const };
  const frames = facts?.frames ?? [];
  const shown = frame.value ?? facts?.reference_frame ?? frames[0] ?? null;
  const onFrame = shown !== null && frames.includes(shown) ? shown : (frames[0] ?? null);

  const steer = async (order: string, body?: Wish): Promise<boolean> => {
    problem.value = null;
    try {
      const view = await post<JobView>(`/v1/jobs/${id}/${order}`, body);
      if (view) await store.steered(view);
      return true;
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
      return false;
    }
  };
  const select = (tile: number) => {
    selected.value = tile;
    const spec = store.tiles[tile]?.tile;
    if (spec?.kind === "render" && onFrame !== null && !spec.frames.includes(onFrame)) frame.value = spec.frames[0] ?? null;
  };

  return (
    <>
      <p class="crumbs">
        <Link to="/jobs">Jobs</Link> <span aria-hidden="true">/</span> <span class="mono">{job.id}</span>
      </p>
      <div class="heading">
        <h1 tabIndex={-1}>{job.name}</h1>
        <Badge tone={state.tone}>{state.word}</Badge>
        {account.value?.address && <Steering job={job} steer={steer} />}
      </div>
      <p class="facts">
        {facts?.runtime && <span>{facts.runtime}</span>}
        {facts && facts.width > 0 && (
          <span>
            {facts.width} × {facts.height}
          </span>
        )}
        {facts && facts.samples > 0 && <span>{count(facts.samples, "sample")}</span>}
        {frames.length > 0 && <span>{count(frames.length, "frame")}</span>}
        {facts && facts.items > 0 && <span>{count(facts.items, "item")}</span>}
        {job.quote && <span>{job.quote.proven}</span>}
      </p>
      {problem.value && <Failure problem={problem.value} />}
      {job.error && (
        <Notice title={job.error} tone="bad">
          {job.advice && sentence(job.advice)}
        </Notice>
      )}
      {!job.error && job.waiting_for && <Notice title={`Waits for ${job.waiting_for}`} tone="wait" />}
      <div class="job-grid">
        <section class="card picture" aria-label="Map of tiles">
          {facts === null ? (
            <Loading rows={6} />
          ) : store.tiles.length === 0 && job.kind === "infer" ? (
            <Notice title="No tiles yet">They are planned once the quote is accepted and the escrow is open.</Notice>
          ) : (
            <>
              {frames.length > 1 && <Frames store={store} frames={frames} frame={onFrame} choose={(to) => (frame.value = to)} />}
              {job.kind === "render" && onFrame !== null && !FINAL.has(job.state) && (
                <Noise job={id} frame={onFrame} passed={job.tiles_passed} />
              )}
              <TileMap store={store} frame={job.kind === "render" ? onFrame : null} selected={selected.value} select={select} />
            </>
          )}
        </section>
        <div class="aside">
          <Money job={job} facts={facts} />
          {selected.value !== null && <TilePanel store={store} index={selected.value} close={() => (selected.value = null)} />}
          <Outputs outputs={store.outputs.value} job={job} />
          <Log store={store} select={select} />
        </div>
        <TileTable store={store} selected={selected.value} select={select} />
      </div>
    </>
  );
}

function Steering({ job, steer }: { job: JobView; steer: (order: string, body?: Wish) => Promise<boolean> }) {
  const asking = useSignal(false);
  if (FINAL.has(job.state) || job.state === "settling") return null;
  if (asking.value)
    return (
      <div class="actions" role="group" aria-label="Cancel this job?">
        <span>What passed is paid, the rest refunded.</span>
        <button
          type="button"
          class="button danger small"
          onClick={() => {
            asking.value = false;
            void steer("cancel");
          }}
        >
          Cancel the job
        </button>
        <button type="button" class="button quiet small" onClick={() => (asking.value = false)}>
          Keep it
        </button>
      </div>
    );
  return (
    <div class="actions">
      {job.state === "running" && (
        <button type="button" class="button quiet small" onClick={() => void steer("pause")}>
          Pause
        </button>
      )}
      {job.state === "review" && (
        <>
          <button type="button" class="button small" onClick={() => void steer("approve")}>
            Go on
          </button>
          <button type="button" class="button quiet small" onClick={() => void steer("reject")}>
            Reject the preview
          </button>
        </>
      )}
      {job.state === "paused" && (
        <button type="button" class="button small" onClick={() => void steer("resume")}>
          Resume
        </button>
      )}
      <Change job={job} save={(wish) => steer("change", wish)} />
      <button type="button" class="button quiet small" onClick={() => (asking.value = true)}>
        Cancel
      </button>
    </div>
  );
}

const FILES_SHOWN = 60;

function Outputs({ outputs, job }: { outputs: OutputView[]; job: JobView }) {
  const all = useSignal(false);
  const files = outputs.filter((one) => one.kind !== "preview" && one.kind !== "reference");
  return (
    <section class="card files">
      <h2>Files</h2>
      {files.length === 0 ? (
        <p class="hint">
          {FINAL.has(job.state) ? "Nothing was delivered." : "Frames appear here as soon as all their tiles have passed."}
        </p>
      ) : (
        <>
          <ul class="files-list">
            {(all.value ? files : files.slice(0, FILES_SHOWN)).map((file) => (
              <li key={file.path}>
                <a href={`/v1/blobs/${file.sha256}`} download={file.path.split("/").pop() ?? "file"}>
                  {file.path}
                </a>
                <span>{file.frame === null ? "" : `frame ${file.frame}`}</span>
                <span class="number">{bytes(file.size)}</span>
              </li>
            ))}
          </ul>
          {files.length > FILES_SHOWN && !all.value && (
            <button type="button" class="button quiet small" onClick={() => (all.value = true)}>
              Show all {files.length}
            </button>
          )}
        </>
      )}
    </section>
  );
}
