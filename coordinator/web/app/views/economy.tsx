// The ledger: what was burned and minted, epoch by epoch, the price, who earned most. Open to everyone.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { account, info } from "../api";
import { date, dollars, kiln, short, usd } from "../format";
import { Live, painter } from "../live";
import type { Ledger } from "../wire";
import { Badge, Hex, Loading, Notice, Stat } from "./parts";

export function Economy() {
  const ledger = useSignal<Ledger | null>(null);
  useEffect(() => {
    let row: Ledger | null = null;
    const paint = painter(() => (ledger.value = row));
    const live = new Live("/v1/ledger/events", {
      ledger: (data: { rows: Ledger[] }) => {
        row = data.rows[0] ?? row;
        paint();
      },
    });
    return () => live.stop();
  }, []);
  const found = ledger.value;
  return (
    <>
      <h1 tabIndex={-1}>Economy</h1>
      <p class="lead">
        A job burns its price less the fee. Each tile that passed earns its node newly minted KILN, never more than it burned.
      </p>
      {found === null ? <Loading rows={8} /> : <Found ledger={found} />}
    </>
  );
}

function Found({ ledger }: { ledger: Ledger }) {
  const rate = ledger.kiln_per_usd;
  return (
    <>
      <dl class="stats">
        <Stat label="Burned" value={`${kiln(ledger.burned, 2)} KILN`} more={usd(ledger.burned, rate)} />
        <Stat label="Minted" value={`${kiln(ledger.minted, 2)} KILN`} more={usd(ledger.minted, rate)} />
        <Stat label="Fees" value={`${kiln(ledger.fees, 2)} KILN`} more={usd(ledger.fees, rate)} />
        <Stat
          label="Price of a kiln-hour"
          value={ledger.usd_per_kiln_hour === null ? "–" : dollars(ledger.usd_per_kiln_hour)}
          more={ledger.usd_per_kiln_hour === null ? "no node is online" : "median ask"}
        />
        <Stat label="Price of a KILN" value={dollars(1 / Number(rate))} />
        <Stat label="Jobs settled" value={ledger.jobs_settled.toLocaleString("en")} more={`${ledger.tiles_paid.toLocaleString("en")} tiles paid`} />
      </dl>
      {ledger.epochs.length === 0 ? (
        <Notice title="Nothing has settled yet">
          {ledger.receipts_waiting > 0
            ? `${ledger.receipts_waiting} receipts wait for the next epoch.`
            : "The first job that settles burns its price, and the next epoch pays its nodes. Both appear here."}
        </Notice>
      ) : (
        <>
          <section class="card">
            <h2>Burned and minted per epoch</h2>
            <Chart ledger={ledger} />
          </section>
          <div class="two">
            <Operators ledger={ledger} />
            <Epochs ledger={ledger} />
          </div>
        </>
      )}
    </>
  );
}

function Chart({ ledger }: { ledger: Ledger }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let gone = false;
    let clear = () => undefined as void;
    void import("./chart").then(({ chart }) => {
      if (!gone && place.current) clear = chart(place.current, ledger.epochs);
    });
    return () => {
      gone = true;
      clear();
    };
  }, [ledger.epochs]);
  return (
    <>
      <p class="legend">
        <span>
          <i class="key burned" /> burned
        </span>
        <span>
          <i class="key minted" /> minted
        </span>
      </p>
      <div ref={place} class="chart" role="img" aria-label="KILN burned and minted in each epoch; the table of epochs has the numbers" />
    </>
  );
}

function Operators({ ledger }: { ledger: Ledger }) {
  const me = account.value?.address?.toLowerCase();
  return (
    <section class="card">
      <h2>Top operators</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Top operators">
        <table>
          <thead>
            <tr>
              <th scope="col">Owner</th>
              <th scope="col" class="number">Earned, KILN</th>
              <th scope="col" class="number">Tiles</th>
              <th scope="col" class="number">Nodes</th>
            </tr>
          </thead>
          <tbody>
            {ledger.operators.map((one) => (
              <tr key={one.owner}>
                <th scope="row">
                  <Hex value={one.owner} name="owner" />
                  {one.owner.toLowerCase() === me && <small class="tag">you</small>}
                </th>
                <td class="number">{kiln(one.earned)}</td>
                <td class="number">{one.tiles.toLocaleString("en")}</td>
                <td class="number">{one.nodes}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Epochs({ ledger }: { ledger: Ledger }) {
  const explorer = info.value?.chain?.distributor;
  return (
    <section class="card">
      <h2>Epochs</h2>
      <div class="scroll tall" tabIndex={0} role="region" aria-label="Epochs">
        <table>
          <thead>
            <tr>
              <th scope="col">Epoch</th>
              <th scope="col">When</th>
              <th scope="col" class="number">Burned</th>
              <th scope="col" class="number">Minted</th>
              <th scope="col">Root</th>
            </tr>
          </thead>
          <tbody>
            {ledger.epochs.map((one) => (
              <tr key={one.number}>
                <th scope="row">{one.number}</th>
                <td>{date(one.created_at)}</td>
                <td class="number">{kiln(one.burned)}</td>
                <td class="number">{kiln(one.minted)}</td>
                <td>
                  {one.state === "posted" ? <Hex value={one.root} name="root" /> : <Badge tone="busy">posting</Badge>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {explorer && <p class="hint">Roots stand in the distributor at {short(explorer)} on chain {info.value?.chain?.chain_id}.</p>}
    </section>
  );
}
