// The server whose content is sold: pages that link each other, and whatever else a test puts there.

import { once } from "node:events";
import { createServer } from "node:http";

const page = (title, body) => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,"></head>
<body><main><h1>${title}</h1>
${body}</main></body>
</html>
`;

/** `/story/1`, and so on: each has the next one's link. */
function story(path) {
  const number = Number(/^\/story\/(\d+)$/.exec(path)?.[1]);
  if (!number) return undefined;
  return page(`Story ${number}`, `<p>The paid text of story ${number}.</p>\n<a id="next" href="/story/${number + 1}">Story ${number + 1}</a>\n`);
}

/** Starts it on any free port. */
export async function startContent() {
  const answers = new Map();
  const served = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://content");
    served.push(`${request.method} ${pathname}`);
    const answer = answers.get(pathname);
    if (answer) return answer(request, response);
    const html = story(pathname);
    response.writeHead(html ? 200 : 404, { "content-type": "text/html; charset=utf-8" });
    response.end(html ?? page("Not found", ""));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** What was asked of it, as `GET /story/1`: what the proxy let through. */
    served,
    /** Answers a path in another way. */
    answer: (path, answer) => answers.set(path, answer),
    /** Puts a page there, with headers of its own. */
    page(path, title, body = "", headers = {}) {
      answers.set(path, (_, response) => {
        response.writeHead(200, { "content-type": "text/html; charset=utf-8", ...headers });
        response.end(page(title, body));
      });
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
