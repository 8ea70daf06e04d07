/** What the tests read in a Markdown file: fenced blocks, links, code spans, tables, and the tables between markers. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

export const read = (file: string): string => readFileSync(root + file, "utf8");

export interface Block {
  /** Word behind the fence; `""` for a picture. */
  language: string;
  text: string;
  line: number;
  /** File that the nearest link above names, when it is between this block and the one before. */
  linked: string | null;
}

const fence = /^```(\w*)\n([\s\S]*?)^```$/gm;
const link = /\[[^\]]*\]\(([^)\s]+)\)/g;

export function blocksOf(markdown: string): Block[] {
  let end = 0;
  return [...markdown.matchAll(fence)].map((match) => {
    const above = markdown.slice(end, match.index);
    // Only the paragraph right above the fence can name its file; guides and addresses are no block's file.
    const paragraph = above.trimEnd().split("\n\n").at(-1)!;
    const links = [...paragraph.matchAll(link)].map(([, target]) => target!);
    end = match.index + match[0].length;
    return {
      language: match[1]!,
      text: match[2]!,
      line: markdown.slice(0, match.index).split("\n").length,
      linked: links.filter((target) => !/^https:|\.md$/.test(target)).at(-1) ?? null,
    };
  });
}

export const linksOf = (markdown: string): string[] =>
  [...markdown.replace(fence, "").matchAll(link)].map((match) => match[1]!);

export const codeSpans = (markdown: string): string[] =>
  [...markdown.replace(fence, "").matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);

/** Cells of the first table below a heading, without the head. @param first text of the head's first cell, where there are several */
export function tableBelow(markdown: string, heading: string, first = ""): string[][] {
  const [, below] = markdown.split(`\n## ${heading}\n`);
  if (below === undefined) throw new Error(`there is no heading "${heading}"`);
  const lines = below.split("\n");
  const rows = lines.slice(lines.findIndex((line) => line.startsWith(`| ${first}`)));
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return cellsOf(rows.slice(2, end).join("\n"));
}

/** Cells of a table's lines, however they are padded. */
export const cellsOf = (lines: string): string[][] =>
  lines
    .trim()
    .split("\n")
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim().replace(/^-+$/, "-")),
    );

const marked = (name: string): RegExp => new RegExp(`(<!-- ${name} -->\n)([\\s\\S]*?)(<!-- /${name} -->)`);

/** What stands between `<!-- name -->` and `<!-- /name -->`. */
export function between(markdown: string, name: string): string {
  const text = marked(name).exec(markdown)?.[2];
  if (text === undefined) throw new Error(`there are no markers <!-- ${name} --> and <!-- /${name} -->`);
  return text;
}

export const replaceBetween = (markdown: string, name: string, text: string): string =>
  markdown.replace(marked(name), (_, open: string, _old: string, close: string) => open + text + close);
