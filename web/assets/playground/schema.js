// The schema, asked of the server itself by introspection: search it, walk through it, start an operation from it.

import { h, put } from "../dom.js";
import { icon } from "../components/icons.js";

export const INTROSPECTION = `query Introspection {
  viewer { org { slug } }
  __schema {
    queryType { name } mutationType { name } subscriptionType { name }
    types {
      kind name description
      fields(includeDeprecated: true) { name description isDeprecated deprecationReason args { ...input } type { ...type } }
      inputFields { ...input }
      interfaces { name }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { name }
    }
  }
}
fragment input on __InputValue { name description defaultValue type { ...type } }
fragment type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }`;

const MOST_FOUND = 60;

/** `{element}`: browses an introspected schema; `insert(document, variables)` puts an operation into the editor. */
export function schemaBrowser(schema, insert) {
  const types = new Map(schema.types.map((type) => [type.name, type]));
  const roots = [
    ["query", schema.queryType],
    ["mutation", schema.mutationType],
    ["subscription", schema.subscriptionType],
  ].filter(([, type]) => type);
  const operationOf = new Map(roots.map(([operation, type]) => [type.name, operation]));
  const trail = [];
  const page = h("div", { class: "schema-page" });
  const crumbs = h("nav", { class: "crumbs", "aria-label": "Way through the schema" });
  const search = h("input", { type: "search", placeholder: "Search types and fields", "aria-label": "Search the schema" });

  const go = (typeName) => {
    trail.push(typeName);
    search.value = "";
    draw();
    page.querySelector("h2")?.focus();
  };
  const back = (length) => {
    trail.length = length;
    search.value = "";
    draw();
  };
  const draw = () => {
    put(crumbs, trail.length > 0 && [crumb("Schema", () => back(0)), trail.slice(0, -1).map((each, index) => crumb(each, () => back(index + 1)))]);
    const text = search.value.trim().toLowerCase();
    const current = types.get(trail.at(-1));
    put(page, text ? found(types, text, go) : current ? typePage(current, context) : start(roots, types, go));
    page.scrollTop = 0;
  };
  const context = { types, go, operationOf, insert };
  search.addEventListener("input", draw);
  draw();
  return { element: h("div", { class: "schema-browser" }, h("div", { class: "pane-bar" }, h("label", { class: "search-field" }, icon("search"), search)), crumbs, page) };
}

/** A description, with what stands between backticks as code. */
function prose(text) {
  return (text ?? "").split("`").map((part, index) => (index % 2 ? h("code", null, part) : part));
}

function crumb(text, onclick) {
  return h("button", { class: "link", type: "button", onclick }, text, " ›");
}

function start(roots, types, go) {
  const others = [...types.values()].filter((type) => !type.name.startsWith("__") && !roots.some(([, root]) => root.name === type.name));
  return [
    h("h2", { tabindex: "-1" }, "Operations"),
    h("ul", { class: "entries" }, roots.map(([operation, type]) => entry(type.name, operation, types.get(type.name).description, go))),
    KINDS.map(([kind, title]) => {
      const group = others.filter((type) => type.kind === kind).sort((a, b) => a.name.localeCompare(b.name));
      return group.length > 0 && h("details", null, h("summary", null, `${title} (${group.length})`), h("ul", { class: "entries" }, group.map((type) => entry(type.name, "", null, go))));
    }),
  ];
}

const KINDS = [
  ["OBJECT", "Objects"],
  ["INTERFACE", "Interfaces"],
  ["UNION", "Unions"],
  ["ENUM", "Enums"],
  ["INPUT_OBJECT", "Inputs"],
  ["SCALAR", "Scalars"],
];

function entry(typeName, note, description, go) {
  return h("li", null, typeLink(typeName, typeName, go), note && h("span", { class: "quiet" }, ` ${note}`), description && h("p", { class: "quiet" }, prose(description)));
}

function typeLink(text, typeName, go) {
  return h("button", { class: "link type", type: "button", onclick: () => go(typeName) }, text);
}

function found(types, text, go) {
  const hits = [];
  for (const type of types.values()) {
    if (type.name.startsWith("__")) continue;
    if (type.name.toLowerCase().includes(text)) hits.push([type.name, null, type.description]);
    for (const part of [...(type.fields ?? []), ...(type.inputFields ?? []), ...(type.enumValues ?? [])])
      if (part.name.toLowerCase().includes(text)) hits.push([type.name, part.name, part.description]);
  }
  if (hits.length === 0) return h("p", { class: "quiet" }, "Nothing of that name.");
  return [
    h("ul", { class: "entries" }, hits.slice(0, MOST_FOUND).map(([typeName, part, description]) =>
      h("li", null, typeLink(part ? `${typeName}.${part}` : typeName, typeName, go), description && h("p", { class: "quiet" }, prose(description))))),
    hits.length > MOST_FOUND && h("p", { class: "quiet" }, `and ${hits.length - MOST_FOUND} more`),
  ];
}

function typePage(type, context) {
  const parts = type.fields ?? type.inputFields ?? [];
  return [
    h("h2", { tabindex: "-1" }, type.name, " ", h("span", { class: "quiet" }, KIND_WORDS[type.kind])),
    type.description && h("p", null, prose(type.description)),
    type.interfaces?.length > 0 && h("p", null, "Implements ", type.interfaces.map((each) => [typeLink(each.name, each.name, context.go), " "])),
    h("ul", { class: "entries" }, parts.map((part) => fieldEntry(type, part, context))),
    type.enumValues && h("ul", { class: "entries" }, type.enumValues.map((value) => h("li", null, h("code", null, value.name), value.isDeprecated && deprecated(value), h("p", { class: "quiet" }, prose(value.description))))),
    ["UNION", "INTERFACE"].includes(type.kind) && [h("h3", null, "One of"), h("ul", { class: "entries" }, type.possibleTypes.map((each) => entry(each.name, "", context.types.get(each.name).description, context.go)))],
  ];
}

const KIND_WORDS = { OBJECT: "object", INTERFACE: "interface", UNION: "union", ENUM: "enum", INPUT_OBJECT: "input", SCALAR: "scalar" };

function fieldEntry(type, field, context) {
  const operation = context.operationOf.get(type.name);
  const use = () => {
    const { document, variables } = operationFor(operation, field, context.types);
    context.insert(document, variables);
  };
  return h(
    "li",
    null,
    h("code", { class: "field" }, field.name),
    ": ",
    typeLink(typeText(field.type), innermost(field.type).name, context.go),
    field.defaultValue !== undefined && field.defaultValue !== null && h("code", { class: "quiet" }, ` = ${field.defaultValue}`),
    field.isDeprecated && deprecated(field),
    operation && h("button", { class: "button small use", type: "button", onclick: use, "aria-label": `Use ${field.name} in the editor` }, "Use"),
    h("p", { class: "quiet" }, prose(field.description)),
    field.args?.length > 0 &&
      h("ul", { class: "arguments" }, field.args.map((argument) => h("li", null, h("code", null, argument.name), ": ", typeLink(typeText(argument.type), innermost(argument.type).name, context.go), h("span", { class: "quiet" }, " ", prose(argument.description))))),
  );
}

function deprecated({ deprecationReason }) {
  return h("p", { class: "warn" }, `Deprecated: ${deprecationReason}`);
}

function innermost(type) {
  return type.ofType ? innermost(type.ofType) : type;
}

function typeText(type) {
  if (type.kind === "NON_NULL") return `${typeText(type.ofType)}!`;
  if (type.kind === "LIST") return `[${typeText(type.ofType)}]`;
  return type.name;
}

/** An operation to start from: required arguments as variables, and the plain fields of the answer. */
function operationFor(operation, field, types) {
  const required = field.args.filter(({ type, defaultValue }) => type.kind === "NON_NULL" && defaultValue === null);
  const declared = required.map(({ name: argument, type }) => `$${argument}: ${typeText(type)}`).join(", ");
  const passed = required.map(({ name: argument }) => `${argument}: $${argument}`).join(", ");
  const title = field.name.charAt(0).toUpperCase() + field.name.slice(1);
  const head = `${operation} ${title}${declared ? `(${declared})` : ""}`;
  const body = `  ${field.name}${passed ? `(${passed})` : ""}${selection(innermost(field.type), types, 1)}`;
  const variables = Object.fromEntries(required.map(({ name: argument, type }) => [argument, example(type, types, 0)]));
  return { document: `${head} {\n${body}\n}\n`, variables };
}

const MOST_DEPTH = 3;

function selection(type, types, depth) {
  const { kind, fields, possibleTypes } = types.get(type.name);
  const pad = "  ".repeat(depth + 1);
  const close = `\n${"  ".repeat(depth)}}`;
  if (kind === "UNION") {
    const errors = possibleTypes.some((each) => types.get(each.name).interfaces?.some(({ name: one }) => one === "Error"));
    const members = possibleTypes.filter((each) => !types.get(each.name).interfaces?.some(({ name: one }) => one === "Error"));
    const parts = members.map((each) => `${pad}... on ${each.name}${selection(each, types, depth + 1)}`);
    if (errors) parts.push(`${pad}... on Error { code message hint path }`);
    return ` {\n${pad}__typename\n${parts.join("\n")}${close}`;
  }
  if (!fields) return "";
  const plain = fields.filter((field) => isLeaf(field, types)).map((field) => field.name);
  const deep = depth < MOST_DEPTH ? fields.filter((field) => isFrame(field, types)) : [];
  const parts = [plain.length ? `${pad}${plain.join(" ")}` : "", ...deep.map((field) => `${pad}${field.name}${selection(innermost(field.type), types, depth + 1)}`)];
  return ` {\n${parts.filter(Boolean).join("\n") || `${pad}__typename`}${close}`;
}

function isLeaf(field, types) {
  const { kind } = types.get(innermost(field.type).name);
  return (kind === "SCALAR" || kind === "ENUM") && !field.args.some(({ type }) => type.kind === "NON_NULL") && !field.isDeprecated;
}

/** Worth a look without being asked: what a frame or a page carries, and who the viewer is. */
function isFrame(field, types) {
  return ["events", "snapshot", "nodes", "viewer", "org"].includes(field.name) && !isLeaf(field, types);
}

function example(type, types, depth) {
  if (type.kind === "NON_NULL") return example(type.ofType, types, depth);
  if (type.kind === "LIST") return [];
  const { kind, name: typeName, enumValues, inputFields } = types.get(type.name);
  if (kind === "ENUM") return enumValues[0].name;
  if (kind === "INPUT_OBJECT" && depth < MOST_DEPTH) {
    const required = inputFields.filter((field) => field.type.kind === "NON_NULL" && field.defaultValue === null);
    return Object.fromEntries(required.map((field) => [field.name, example(field.type, types, depth + 1)]));
  }
  return { Int: 0, Float: 0, Boolean: false, DateTime: new Date().toISOString() }[typeName] ?? "";
}
