// The inputs that a workflow declares, as fields of a form.

import { h, name } from "../../dom.js";

/** `{fields, values()}`. */
export function inputsForm(inputs) {
  const made = inputs.map((input, index) => ({ input, field: fieldFor(input, `input-${index}`) }));
  return {
    fields: made.map(({ input, field }) => [
      input.type === "BOOLEAN"
        ? h("label", { class: "check" }, field, name(input.name))
        : h("label", { for: field.id }, name(input.name), input.required && " (required)"),
      input.type !== "BOOLEAN" && field,
      input.description && h("small", { class: "quiet" }, name(input.description)),
    ]),
    values() {
      return made
        .map(({ input, field }) => ({ name: input.name, value: field.type === "checkbox" ? String(field.checked) : field.value }))
        .filter(({ value }) => value !== "");
    },
  };
}

function fieldFor({ type, options, default: preset, required }, id) {
  if (type === "BOOLEAN") {
    const box = h("input", { type: "checkbox", id });
    box.checked = preset === "true";
    return box;
  }
  if (type === "CHOICE") {
    const field = h("select", { id, required }, !required && h("option", { value: "" }, "–"), options.map((value) => h("option", { value }, value)));
    if (preset !== null) field.value = preset;
    return field;
  }
  return h("input", { type: type === "NUMBER" ? "number" : "text", step: type === "NUMBER" ? "any" : null, id, required, value: preset });
}
