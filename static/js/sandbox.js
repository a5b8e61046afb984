// The API sandbox: Swagger UI on this server's own schema; the key stays in this browser. Questions that were
// answered are saved in a session of this browser, where they are found again and can be shared.
import { call } from "./playground/job-client.js";

const root = document.querySelector("[data-swagger]");
const box = document.querySelector("[data-saved]");
const list = box.querySelector("[data-saved-list]");
const QUESTION = /\/v1\/(caption|query|detect|point)$/;
const REQUEST_ID = /"request_id":\s*"([0-9a-f-]{36})"/;
let key = {}; // the headers by which the last question was asked
let token = null;
let session = "";

async function csrf() {
  // This page is the same for everybody and holds no token; the playground's panel does.
  const text = await (await fetch(box.dataset.panel)).text();
  return new DOMParser().parseFromString(text, "text/html").querySelector("[name=csrfmiddlewaretoken]").value;
}

async function post(url, fields, headers = {}) {
  token ??= csrf();
  return call(url, { method: "POST", body: new URLSearchParams(fields), headers: { ...headers, "X-CSRFToken": await token, Accept: "application/json" } });
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function note(text) {
  box.hidden = false;
  box.querySelector("[data-saved-note]").textContent = text;
}

async function share(run, place) {
  try {
    const { url } = await post(`${box.dataset.runs}${run}/share/`, { days: "" });
    const field = element("input", { className: "input mono", readOnly: true, value: url });
    field.setAttribute("aria-label", "Link to this request");
    place.replaceChildren(field);
    field.focus();
    field.select();
  } catch (error) {
    note(error.text ?? error.message);
  }
}

async function save(skill, job, headers) {
  try {
    const saved = await post(box.dataset.runs, { job, session }, headers);
    session = saved.session;
    const button = element("button", { type: "button", className: "button button--small button--quiet", textContent: "Share" });
    const place = element("span", { className: "cluster" }, element("a", { href: `${saved.url}#run-${saved.run}`, textContent: "Open" }), button);
    button.addEventListener("click", () => share(saved.run, place));
    list.prepend(element("li", {}, element("span", { className: "mono", textContent: skill }), ` ${new Date().toLocaleTimeString()} `, place));
    note("Saved. Nobody else sees it unless you share it.");
  } catch (error) {
    note(`Not saved: ${error.text ?? error.message}`);
  }
}

window.SwaggerUIBundle({
  url: root.dataset.swagger,
  domNode: root,
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  presets: [window.SwaggerUIBundle.presets.apis],
  requestInterceptor: (request) => {
    const sent = request.headers ?? {};
    key = Object.fromEntries(Object.entries(sent).filter(([name]) => ["x-moondream-auth", "authorization"].includes(name.toLowerCase())));
    return request;
  },
  responseInterceptor: (response) => {
    const skill = QUESTION.exec(new URL(response.url, location).pathname)?.[1];
    const job = skill && response.ok && REQUEST_ID.exec(response.text ?? "")?.[1];
    if (job) save(skill, job, key);
    return response;
  },
});
