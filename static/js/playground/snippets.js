// The current run as code: exactly what this server takes.
const quote = (value) => JSON.stringify(value);

export function snippets(run, origin) {
  const base = `${origin}/v1`;
  const { skill, prompt, variant } = run;
  const file = run.sample ? `${run.sample}.webp` : "image.png";
  const arg = { caption: `length=${quote(prompt)}`, query: quote(prompt), detect: quote(prompt), point: quote(prompt) }[skill];
  const key = { caption: "caption", query: "answer", detect: "objects", point: "points" }[skill];
  const field = { caption: "length", query: "question", detect: "object", point: "object" }[skill];
  const fetchLine = run.sample ? `curl -sO ${origin}/static/samples/${file}` : "";
  const body = `{"image_url": "data:image/png;base64,'"$(base64 < ${file} | tr -d '\\n')"'", ${quote(field)}: ${quote(prompt)}, "variant": ${quote(variant)}}`;
  const shell = (text) => text.replace(/'(?!"\$|", )/g, "'\\''");
  return [
    { language: "Python", code: `import moondream as md\nfrom PIL import Image\n\nmodel = md.vl(endpoint=${quote(base)}, model=${quote(variant)})\nimage = Image.open(${quote(file)})\nprint(model.${skill}(image, ${arg})[${quote(key)}])` },
    { language: "JavaScript", code: `import { vl } from "moondream";\nimport { readFileSync } from "node:fs";\n\nconst model = new vl({ endpoint: ${quote(base)} });\nconst result = await model.${skill}({ image: readFileSync(${quote(file)}), ${field}: ${quote(prompt)}, variant: ${quote(variant)} });\nconsole.log(result.${key});` },
    { language: "cURL", code: `${fetchLine ? `${fetchLine}\n` : ""}curl ${base}/${skill} \\\n  -H "Content-Type: application/json" \\\n  -d '${shell(body)}'` },
  ];
}
