// How numbers, durations and moments are written, in charts and beside them.

const WORDS = { NaN: NaN, nan: NaN, Infinity: Infinity, inf: Infinity, "-Infinity": -Infinity, "-inf": -Infinity };

/** The number that a value of JSON stands for: NaN and infinities are words there. */
export function number(value) {
  if (value === null || value === undefined) return NaN;
  return typeof value === "string" ? WORDS[value] ?? NaN : value;
}

/** A value for people: five digits, thousands apart, a dash where there is none. */
export function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return String(value);
  value = number(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e9) ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

/** A count with its noun: "1 run", "2,000 runs". */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Seconds as the two largest units: "850 ms", "12.5 s", "3m 20s", "2h 5m", "4d 3h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds < 1 && seconds > 0) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => whole >= size);
  const [unit, size] = units[first];
  const [next, small] = units[first + 1] ?? ["", 1];
  const rest = next && Math.floor((whole % size) / small);
  return `${Math.floor(whole / size)}${unit}${rest ? ` ${rest}${next}` : ""}`;
}

/** A moment in local time, to the second; *withDay* says whether the day is written. */
export function moment(seconds, withDay = true) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "?";
  const two = (part) => String(part).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return withDay ? `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}` : time;
}
