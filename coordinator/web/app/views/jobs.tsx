// The account's jobs, as they change.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { info, Problem, snapshot } from "../api";
import { ago, count, duration, kiln, percent, usd } from "../format";
import { Live, painter } from "../live";
import { Link } from "../router";
import { FINAL, JOB_STATES } from "../words";
import type { JobView } from "../wire";
import { Badge, Failure, Loading, Notice, Progress } from "./parts";

const SHOWN = 100;

export function Jobs() {
  const jobs = useSignal<JobView[] | null>(null);
  const problem = useSignal<Problem | null>(null);
  const filter = useSignal<"all" | "open" | "ended">("all");

  useEffect(() => {
    let live: Live | null = null;
    let gone = false;
    const rows = new Map<string, JobView>();
    const paint = painter(() => (jobs.value = [...rows.values()].sort((a, b) => b.created_at - a.created_at)));
    const load = async () => {
      try {
        const found = await snapshot<JobView[]>(`/v1/jobs?limit=${SHOWN}`);
        if (gone) return;
        for (const job of found.value) rows.set(job.id, job);
        problem.value = null;
        paint();
        const onJob = (job: JobView) => {
          rows.set(job.id, job);
          paint();
        };
        live = new Live("/v1/events", { job: onJob }, found.after);
      } catch (error) {
        problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
        if (problem.value.status === 0) setTimeout(() => void load(), 2000);
      }
    };
    void load();
    return () => {
      gone = true;
      live?.stop();
    };
  }, []);

  const all = jobs.value;
  const wanted = all?.filter((job) => filter.value === "all" || FINAL.has(job.state) === (filter.value === "ended"));
  return (
    <>
      <div class="heading">
        <h1 tabIndex={-1}>Jobs</h1>
        <fieldset class="segments">
          <legend class="sr">Which jobs</legend>
          {(["all", "open", "ended"] as const).map((name) => (
            <label key={name}>
              <input type="radio" name="job-filter" checked={filter.value === name} onChange={() => (filter.value = name)} />
              <span>{name[0]?.toUpperCase() + name.slice(1)}</span>
            </label>
          ))}
        </fieldset>
      </div>
      {problem.value && <Failure problem={problem.value} />}
      {wanted === undefined ? (
        problem.value === null && <Loading />
      ) : wanted.length === 0 ? (
        <Empty any={(all?.length ?? 0) > 0} />
      ) : (
        <ul class="cards" aria-label="Jobs">
          {wanted.map((job) => (
            <JobCard key={job.id} job={job} />
          ))}
        </ul>
      )}
    </>
  );
}

function Empty({ any }: { any: boolean }) {
  if (any) return <Notice title="None of these">Choose another filter above.</Notice>;
  return (
    <div class="empty">
      <img src="/static/icon.svg" width="56" height="56" alt="" />
      <h2>No jobs yet</h2>
      <p>Send a scene from Blender, or from a terminal:</p>
      <pre>kilnet render SCENE.blend</pre>
      <p class="hint">It appears here at once, with its price before anything is charged.</p>
    </div>
  );
}

function JobCard({ job }: { job: JobView }) {
  const state = JOB_STATES[job.state] ?? { word: job.state, tone: "idle" as const };
  const rate = info.value?.kiln_per_usd;
  const price = job.settlement?.price ?? job.quote?.price;
  const ended = FINAL.has(job.state);
  return (
    <li>
      <Link to={`/jobs/${job.id}`} class="card job">
        {job.kind === "render" && <img class="thumb" src={`/v1/jobs/${job.id}/picture.png`} alt="" loading="lazy" />}
        <div class="row">
          <h2>{job.name}</h2>
          <Badge tone={state.tone}>{state.word}</Badge>
        </div>
        <Progress share={job.progress} label={`Progress of ${job.name}`} tone={state.tone} />
        <p class="facts">
          <span>{job.kind === "render" ? "Render" : "Inference"}</span>
          {job.tiles > 0 && (
            <span>
              {job.tiles_passed.toLocaleString("en")} of {count(job.tiles, "tile")}
            </span>
          )}
          {!ended && job.tiles > 0 && <span>{percent(job.progress)}</span>}
          {job.eta_seconds !== null && job.eta_seconds > 0 && <span>{duration(job.eta_seconds)} left</span>}
          {price && rate && (
            <span title={`${kiln(price)} KILN`}>
              {usd(price, rate)}
              {job.settlement ? "" : " quoted"}
            </span>
          )}
          <span class="end">{ago(job.created_at)}</span>
        </p>
        {job.error ? (
          <p class="error-line">{job.error}</p>
        ) : job.waiting_for ? (
          <p class="hint">Waits for {job.waiting_for}</p>
        ) : null}
      </Link>
    </li>
  );
}
