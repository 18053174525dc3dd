// An OpenID provider on a free port of 127.0.0.1: panva's oidc-provider with the sign-in and consent pages that it has
// for development. Anybody may sign in.
//
//     node provider.mjs FOLDER_OF_OIDC_PROVIDER
//
// The first line of standard input is a JSON object: `clients`, as oidc-provider takes them, `hand`, see below, and
// `endpointQuery`, the query that its authorization endpoint has by itself.
// Standard output has a JSON object a line: first its `issuer`, then what happens. Standard input takes
// `{"advance": SECONDS}`, by which its clock then goes ahead; with its end the provider ends.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

console.info = console.error; // what the library has to say to who runs it
const { default: Provider } = await import(pathToFileURL(join(process.argv[2], "lib", "index.js")));
const tell = (happened) => process.stdout.write(`${JSON.stringify(happened)}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { clients, hand, endpointQuery } = JSON.parse((await lines.next()).value);

const realTime = Date.now;
let ahead = 0;
Date.now = () => realTime() + ahead;

// A user in a browser that nobody can drive, because it is held by what is tested: a hand on the page, which does what
// the user would. `authorize` fills in and presses, `cancel` signs in and then follows the link that cancels.
const HANDS = {
  authorize: `
    for (const field of document.querySelectorAll("input[required]")) field.value = "ada";
    document.querySelector("form [type=submit]").click();`,
  cancel: `
    const fields = document.querySelectorAll("input[required]");
    for (const field of fields) field.value = "ada";
    document.querySelector(fields.length ? "form [type=submit]" : "a[href$='/abort']").click();`,
};

const findAccount = (_, sub) => ({
  accountId: sub,
  claims: () => ({
    sub,
    preferred_username: `${sub}-of-oidc`,
    profile: `${issuer}/people/${sub}`,
    picture: `${issuer}/people/${sub}.png`,
  }),
});

const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients,
  findAccount,
  claims: { openid: ["sub"], profile: ["preferred_username", "profile", "picture"] },
  cookies: { keys: [randomBytes(32).toString("hex")] },
});

provider.use(async (context, next) => {
  if (context.path === "/auth") tell({ happened: "asked", target: context.req.url });
  await next();
  if (context.path === "/.well-known/openid-configuration") context.body.authorization_endpoint += endpointQuery;
  if (typeof context.body === "string" && context.path.startsWith("/interaction/")) {
    // The pages fetch a font from elsewhere, and there is nothing but loopback here.
    context.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'");
    if (hand) context.body += `<script>${HANDS[hand]}</script>`;
  }
});
provider.on("grant.success", () => tell({ happened: "granted" }));
provider.on("grant.error", (_, error) =>
  tell({ happened: "refused", error: error.error, detail: error.error_detail ?? null }));
provider.on("grant.revoked", () => tell({ happened: "revoked" }));

server.on("request", provider.callback());
tell({ issuer });
for await (const line of { [Symbol.asyncIterator]: () => lines }) {
  ahead += JSON.parse(line).advance * 1000;
  tell({ happened: "advanced" });
}
server.close();
server.closeAllConnections();
