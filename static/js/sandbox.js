// The API sandbox: Swagger UI on this server's own schema; the key stays in this browser.
const root = document.querySelector("[data-swagger]");
window.SwaggerUIBundle({
  url: root.dataset.swagger,
  domNode: root,
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  presets: [window.SwaggerUIBundle.presets.apis],
});
