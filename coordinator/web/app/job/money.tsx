// What a job costs: so far, at most, and where it went once it is settled.

import { info } from "../api";
import { date, duration, kiln, percent, usd } from "../format";
import { FINAL } from "../words";
import type { JobFacts, JobView } from "../wire";
import { Hex, Progress, Stat } from "../views/parts";

export function Money({ job, facts }: { job: JobView; facts: JobFacts | null }) {
  const rate = info.value?.kiln_per_usd ?? "10";
  const spent = facts?.spent ?? "0";
  const settled = job.settlement;
  const lanes = Object.entries(job.lanes).filter(([, tiles]) => tiles > 0);
  const ended = FINAL.has(job.state);
  return (
    <section class="card">
      <h2>{settled ? "Settlement" : "Progress and cost"}</h2>
      <Progress
        share={job.progress}
        label="Progress"
        tone={job.state === "failed" ? "bad" : job.state === "done" ? "good" : "busy"}
      />
      <dl class="stats inner">
        <Stat
          label="Tiles passed"
          value={`${job.tiles_passed.toLocaleString("en")} / ${job.tiles.toLocaleString("en")}`}
          more={percent(job.progress)}
        />
        {!ended && (
          <Stat
            label="Time left"
            value={job.eta_seconds === null ? "not known yet" : job.eta_seconds < 1 ? "a moment" : duration(job.eta_seconds)}
          />
        )}
        <Stat label={settled ? "Price" : "Cost so far"} value={usd(settled?.price ?? spent, rate)} more={`${kiln(settled?.price ?? spent)} KILN`} />
        {job.quote && !settled && <Stat label="Quoted" value={usd(job.quote.price, rate)} more={`at most ${job.lowered_cap_usd === null ? usd(job.quote.cap, rate) : `$${Number(job.lowered_cap_usd)}`}`} />}
        {settled && (
          <>
            <Stat label="Burned" value={`${kiln(settled.burned)}`} more="KILN" />
            <Stat label="Fee" value={`${kiln(settled.fee)}`} more="KILN" />
            <Stat label="Refunded" value={`${kiln(settled.refund)}`} more="KILN" />
          </>
        )}
        <Stat label="Work" value={duration(job.compute_seconds)} more={job.audit_seconds ? `+ ${duration(job.audit_seconds)} of proof` : undefined} />
        <Stat label="Cells audited" value={job.cells_audited.toLocaleString("en")} more={job.rejections.length ? `${job.rejections.length} refused` : undefined} />
        {lanes.length > 0 && <Stat label="Lanes of proof" value={lanes.map(([lane, tiles]) => `${tiles} ${lane}`).join(", ")} />}
        {!ended && job.deadline !== null && <Stat label="Deadline" value={date(job.deadline)} />}
      </dl>
      {settled && (
        <dl class="hexes">
          <div>
            <dt>Receipt root</dt>
            <dd>
              <Hex value={settled.receipt_root} name="receipt root" />
            </dd>
          </div>
          {settled.settlement_tx && (
            <div>
              <dt>Transaction</dt>
              <dd>
                <Hex value={settled.settlement_tx} name="transaction" />
              </dd>
            </div>
          )}
          <div>
            <dt>Receipts</dt>
            <dd>
              <a href={`/v1/jobs/${job.id}/bundle`} download={`${job.id}-bundle.json`}>
                save the bundle
              </a>
            </dd>
          </div>
          {settled.epoch !== null && (
            <div>
              <dt>Rewards</dt>
              <dd>epoch {settled.epoch}</dd>
            </div>
          )}
        </dl>
      )}
    </section>
  );
}
