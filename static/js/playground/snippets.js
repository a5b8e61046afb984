// The current run as code: exactly what this server takes.
const quote = (value) => JSON.stringify(value);
const inShell = (name) => `'${name.replace(/'/g, "'\\''")}'`;
// What a here-document would still read: backslash, dollar and backtick.
const inHereDocument = (text) => text.replace(/[\\$`]/g, "\\$&");

export function snippets(run, origin) {
  const base = `${origin}/v1`;
  const { skill, prompt, variant } = run;
  const file = run.sample ? `${run.sample}.webp` : run.image.name;
  const fetchLine = run.sample ? `curl -sO ${origin}/static/samples/${file}\n` : "";
  const arg = skill === "caption" ? `length=${quote(prompt)}` : quote(prompt);
  const key = { caption: "caption", query: "answer", detect: "objects", point: "points" }[skill];
  const field = { caption: "length", query: "question", detect: "object", point: "object" }[skill];
  return [
    { language: "Python", code: `import moondream as md\nfrom PIL import Image\n\nmodel = md.vl(endpoint=${quote(base)}, model=${quote(variant)})\nimage = Image.open(${quote(file)})\nprint(model.${skill}(image, ${arg})[${quote(key)}])` },
    { language: "JavaScript", code: `import { vl } from "moondream";\nimport { readFileSync } from "node:fs";\n\nconst model = new vl({ endpoint: ${quote(base)} });\nconst result = await model.${skill}({ image: readFileSync(${quote(file)}), ${field}: ${quote(prompt)}, variant: ${quote(variant)} });\nconsole.log(result.${key});` },
    { language: "cURL", code: `${fetchLine}curl ${base}/${skill} -H "Content-Type: application/json" -d @- <<JSON\n{"image_url": "data:image/webp;base64,$(base64 < ${inShell(file)} | tr -d '\\n')", "${field}": ${inHereDocument(quote(prompt))}, "variant": ${quote(variant)}}\nJSON` },
  ];
}
