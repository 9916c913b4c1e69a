// A model card's Markdown as elements: headings, paragraphs, lists, tables, code. All else stays text.

import { make } from "./timeline.js";

const inline = (text) => text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
  if (part.startsWith("`")) return make("code", {}, part.slice(1, -1));
  return part.startsWith("**") ? make("strong", {}, part.slice(2, -2)) : part;
});

const cells = (line) => line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

const tableOf = (lines) => {
  const row = (kind) => (line) => make("tr", {}, ...cells(line).map((cell) => make(kind, {}, ...inline(cell))));
  const body = lines.slice(1).filter((line) => !/^[|\s:-]+$/.test(line));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, row("th")(lines[0])), make("tbody", {}, ...body.map(row("td")))));
};

const listOf = (lines) => {
  const items = lines.join("\n").split(/^- /m).filter((item) => item.trim());
  return make("ul", {}, ...items.map((item) => make("li", {}, ...inline(item.replace(/\s+/g, " ").trim()))));
};

function block(text) {
  const lines = text.split("\n");
  const heading = /^#+\s+(.*)/.exec(lines[0]);
  if (heading) {
    const rest = lines.slice(1).join("\n").trim();
    return [make("h3", {}, ...inline(heading[1])), ...(rest ? block(rest) : [])];
  }
  if (lines[0].startsWith("|")) return [tableOf(lines)];
  if (lines[0].startsWith("- ")) return [listOf(lines)];
  return [make("p", {}, ...inline(lines.join(" ")))];
}

/** The card's elements, without its title. */
export function cardElements(markdown) {
  const pieces = markdown.replaceAll("\r\n", "\n").replace(/^# .*\n/, "").split(/^```.*\n([\s\S]*?)^```\s*$/m);
  return pieces.flatMap((piece, i) => {
    if (i % 2) return [make("pre", { tabindex: "0" }, piece)];
    return piece.split(/\n{2,}/).map((text) => text.trim()).filter(Boolean).flatMap(block);
  });
}
