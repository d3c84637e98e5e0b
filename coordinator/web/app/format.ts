// Numbers, times and addresses as people read them.

const UNIT = 10n ** 18n;

/** KILN with at most `places` decimals, rounded down, without idle zeros. */
export function kiln(units: string | bigint, places = 4): string {
  const amount = BigInt(units);
  const scale = 10n ** BigInt(places);
  const scaled = (amount * scale) / UNIT;
  if (scaled === 0n && amount > 0n) return `< ${(1 / 10 ** places).toFixed(places)}`;
  const rest = (scaled % scale).toString().padStart(places, "0").replace(/0+$/, "");
  return (scaled / scale).toLocaleString("en") + (rest ? `.${rest}` : "");
}

/** As a floating number, for charts. */
export function kilnNumber(units: string | bigint): number {
  return Number(BigInt(units) / 10n ** 9n) / 1e9;
}

export function usd(units: string | bigint, kilnPerUsd: string): string {
  return dollars(kilnNumber(units) / Number(kilnPerUsd));
}

export function dollars(value: number): string {
  if (value > 0 && value < 0.01) return `$${value.toPrecision(2)}`;
  return value.toLocaleString("en", { style: "currency", currency: "USD" });
}

/** A line of the gateway's, which begins small and ends bare, as a sentence. */
export function sentence(line: string): string {
  return `${line.charAt(0).toUpperCase()}${line.slice(1)}.`;
}

export function duration(seconds: number): string {
  if (seconds < 0.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) {
    const rest = Math.round(seconds) % 60;
    return seconds < 600 && rest ? `${Math.floor(seconds / 60)} min ${rest} s` : `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${Math.round(hours / 24)} days`;
}

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function ago(at: number, now = Date.now() / 1000): string {
  const past = Math.max(0, now - at);
  if (past < 5) return "just now";
  if (past < 60) return RELATIVE.format(-Math.round(past), "second");
  if (past < 3600) return RELATIVE.format(-Math.round(past / 60), "minute");
  if (past < 86400) return RELATIVE.format(-Math.round(past / 3600), "hour");
  return RELATIVE.format(-Math.round(past / 86400), "day");
}

export function clock(at: number): string {
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

export function date(at: number): string {
  return new Date(at * 1000).toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (size >= 1000 && place < units.length - 1) {
    size /= 1000;
    place += 1;
  }
  return `${place && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[place]}`;
}

export function short(hex: string): string {
  return hex.length > 14 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex;
}

export function count(value: number, one: string, many = `${one}s`): string {
  return `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
}

export function percent(share: number): string {
  if (share > 0.999 && share < 1) return "99.9%";
  return `${(share * 100).toFixed(share > 0 && share < 0.0995 ? 1 : 0)}%`;
}
