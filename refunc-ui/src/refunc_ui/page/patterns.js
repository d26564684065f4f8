// Metrics that are named by a pattern, as on the command line: `*` stands for any text, `?` for one letter.

export const isPattern = (text) => /[*?]/.test(text);

/** Whether a pattern, or a plain name, names *metric*. */
export function names(pattern, metric) {
  if (pattern === metric) return true;
  if (!isPattern(pattern)) return false;
  const parts = pattern.split(/([*?])/).map((part) => ({ "*": ".*", "?": "." })[part] ?? part.replace(/[.+^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("")}$`, "su").test(metric);
}
