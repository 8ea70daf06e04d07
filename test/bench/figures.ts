/** One line of the bench's result. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** `null`: shown for comparison, without a target. */
  target: { atLeast: number } | { atMost: number } | { below: number } | null;
  /** What it is compared with, measured in the same run. */
  baseline: string;
}

export function met(figure: Figure): boolean | null {
  if (!figure.target) return null;
  if ("atLeast" in figure.target) return figure.value >= figure.target.atLeast;
  return "atMost" in figure.target ? figure.value <= figure.target.atMost : figure.value < figure.target.below;
}

function targetText(figure: Figure): string {
  if (!figure.target) return "";
  if ("atLeast" in figure.target) return `≥ ${figure.target.atLeast}`;
  return "atMost" in figure.target ? `≤ ${figure.target.atMost}` : `< ${figure.target.below}`;
}

const digits = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));

export function figuresText(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    `${digits(figure.value)} ${figure.unit}`,
    targetText(figure),
    { true: "met", false: "MISSED", null: "" }[String(met(figure)) as "true" | "false" | "null"],
    figure.baseline,
  ]);
  const table = [["figure", "measured", "target", "", "against"], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
