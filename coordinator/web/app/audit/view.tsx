// Drop a receipt, see it proven: here in the browser, and against the chain.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, info, learn, Problem } from "../api";
import { kiln } from "../format";
import { query } from "../router";
import { Failure, Hex, Notice, Stat } from "../views/parts";
import { LANES } from "../words";
import { type PathStep, type Step } from "./prove";
import { NoReceipt, type Receipt, readReceipts } from "./receipt";

const MAX_BYTES = 64 << 20;
const SHOWN = 200;

interface Escrow {
  state: string;
  receipt_root: string;
  receipt_signer: string;
  receipt_count: number;
}

interface Proof {
  receipt: Receipt;
  escrow: Escrow | null;
  steps: Step[];
  leaf: string;
  path: PathStep[];
}

export function Audit() {
  const receipts = useSignal<Receipt[]>([]);
  const proof = useSignal<Proof | null>(null);
  const problem = useSignal<Problem | null>(null);
  const over = useSignal(false);
  const busy = useSignal(false);

  const show = (error: unknown) => {
    problem.value = error instanceof Problem ? error : new Problem("receipt", error instanceof NoReceipt ? error.message : String(error), 0);
  };
  const run = async (receipt: Receipt) => {
    busy.value = true;
    problem.value = null;
    try {
      proof.value = await proven(receipt);
    } catch (error) {
      show(error);
    }
    busy.value = false;
  };
  const take = async (text: string, tile: number | null = null) => {
    problem.value = null;
    proof.value = null;
    receipts.value = [];
    try {
      const found = readReceipts(text);
      receipts.value = found;
      const wanted = tile === null ? found[0] : found.find((one) => one.tile === tile);
      if (wanted === undefined) throw new NoReceipt(`tile ${tile} has no receipt: it has not passed; wait for it`);
      await run(wanted);
    } catch (error) {
      show(error);
    }
  };
  const takeFile = async (file: File | undefined) => {
    if (file === undefined) return;
    if (file.size > MAX_BYTES) show(new NoReceipt("this file is larger than 64 MiB; drop one receipt or one job's bundle"));
    else await take(await file.text());
  };

  const job = query.value.get("job");
  const tile = query.value.get("tile");
  useEffect(() => {
    if (job === null || !/^[0-9A-Za-z_-]{1,24}$/.test(job)) return;
    get<unknown>(`/v1/jobs/${job}/receipts`).then((found) => take(JSON.stringify(found), tile === null ? null : Number(tile)), show);
  }, [job, tile]);

  return (
    <>
      <h1 tabIndex={-1}>Audit</h1>
      <p class="lead">
        Every payout hangs on a receipt. Drop one here: your browser computes its proof again and asks the chain, not us.
      </p>
      <label
        class={`drop ${over.value ? "over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          over.value = true;
        }}
        onDragLeave={() => (over.value = false)}
        onDrop={(event) => {
          event.preventDefault();
          over.value = false;
          void takeFile(event.dataTransfer?.files[0]);
        }}
      >
        <input
          type="file"
          accept="application/json,.json"
          class="sr"
          onChange={(event) => {
            void takeFile(event.currentTarget.files?.[0]);
            // So that the same file, written anew, can be chosen again.
            event.currentTarget.value = "";
          }}
        />
        <strong>Drop a receipt or a bundle</strong>
        <span>
          or choose a file: one receipt, a list of them, or a job's <code>bundle</code>
        </span>
      </label>
      {problem.value && <Failure problem={problem.value} />}
      {receipts.value.length > 1 && (
        <label class="field inline">
          <span>Receipt</span>
          <select
            value={proof.value ? String(receipts.value.indexOf(proof.value.receipt)) : "0"}
            onChange={(event) => {
              const chosen = receipts.value[Number(event.currentTarget.value)];
              if (chosen) void run(chosen);
            }}
          >
            {receipts.value.slice(0, SHOWN).map((one, i) => (
              <option key={i} value={i}>
                tile {one.tile} of {one.job}
              </option>
            ))}
          </select>
          {receipts.value.length > SHOWN && <small>the first {SHOWN}</small>}
        </label>
      )}
      <div aria-live="polite">{busy.value ? <p>Proving …</p> : proof.value && <Result proof={proof.value} />}</div>
      {!proof.value && !problem.value && !busy.value && (
        <Notice title="Where receipts are">
          Each tile that passed has one: open it on the page of its job, or save the job's bundle there. To redo the pixels
          themselves on your own machine, run <code>kilnet audit JOB</code>.
        </Notice>
      )}
    </>
  );
}

async function proven(receipt: Receipt): Promise<Proof> {
  // Asked anew where it was not there (yet): who opens this page by a link is here before the answer.
  if (!info.value?.chain) await learn();
  const chain = info.value?.chain;
  if (!chain) throw new Problem("chain", "The gateway does not reach its chain, so nothing says what was signed for. Try again later.", 0);
  const { askChain, climb, leafOf, prove } = await import("./prove");
  const escrow = await get<Escrow>(`/v1/ledger/jobs/${receipt.job}/escrow`).catch(() => null);
  const root = escrow !== null && /[1-9a-f]/.test(escrow.receipt_root.slice(2)) ? escrow.receipt_root : null;
  const steps = await prove(receipt, chain, root, escrow?.receipt_signer ?? null);
  steps.push(await askChain(receipt, chain));
  const leaf = leafOf(receipt);
  return { receipt, escrow, steps, leaf, path: climb(leaf, receipt.price, receipt.proof ?? []) };
}

const MARKS = new Map([
  [true, { word: "holds", tone: "good" }],
  [false, { word: "does not hold", tone: "bad" }],
  [null, { word: "not known", tone: "wait" }],
]);

function Result({ proof }: { proof: Proof }) {
  const { receipt, steps } = proof;
  const failed = steps.filter((step) => step.ok === false).length;
  const open = steps.filter((step) => step.ok === null).length;
  const title = failed ? "This receipt is not what it says" : open ? "Nothing contradicts it so far" : "Proven";
  return (
    <div class="proof">
      <section class={`card verdict ${failed ? "bad" : open ? "wait" : "good"}`}>
        <h2>{title}</h2>
        <p>
          {failed
            ? `${failed} of ${steps.length} checks failed. Do not rely on it.`
            : open
              ? `${steps.length - open} of ${steps.length} checks hold, ${open} cannot be said yet.`
              : `All ${steps.length} checks hold.`}
        </p>
        <dl class="stats inner">
          <Stat label="Job" value={<span class="mono">{receipt.job}</span>} />
          <Stat label="Tile" value={receipt.tile} more={`attempt ${receipt.attempt}`} />
          <Stat label="Price" value={`${kiln(receipt.price)} KILN`} />
          <Stat label="Node" value={<Hex value={receipt.node} name="node" />} />
          <Stat label="Lane" value={<span title={LANES[receipt.lane] ?? ""}>{receipt.lane}</span>} more={receipt.numericsClass} />
          {proof.escrow && <Stat label="Escrow" value={proof.escrow.state} more={`${proof.escrow.receipt_count} receipts`} />}
        </dl>
      </section>
      <section class="card">
        <h2>Checks</h2>
        <ol class="checks">
          {steps.map((step) => {
            const mark = MARKS.get(step.ok) ?? { word: "", tone: "wait" };
            return (
              <li key={step.name} class={mark.tone}>
                <i aria-hidden="true" />
                <div>
                  <strong>
                    {step.name} <small>{mark.word}</small>
                  </strong>
                  <p>{step.detail}</p>
                </div>
              </li>
            );
          })}
        </ol>
      </section>
      {receipt.proof !== null && (
        <section class="card">
          <h2>Merkle path</h2>
          <ol class="path">
            <li>
              <span>leaf</span> <Hex value={proof.leaf} name="leaf" />
            </li>
            {proof.path.map((step, i) => (
              <li key={i}>
                <span>with</span> <Hex value={step.sibling} name="sibling" />
                <span class="arrow" aria-hidden="true">
                  →
                </span>
                <span>{i + 1 === proof.path.length ? "root" : `level ${i + 1}`}</span> <Hex value={step.result} name="hash" />
              </li>
            ))}
          </ol>
          {proof.path.length === 0 && <p class="hint">The job has one receipt: its leaf is the root.</p>}
        </section>
      )}
    </div>
  );
}
