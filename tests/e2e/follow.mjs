// Follow a subscription with npm's graphql-ws for ever, resuming by cursor after a drop; prints a frame a line.
//   node follow.mjs ws://host:port/graphql TOKEN DOCUMENT

import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token, query] = process.argv.slice(2);
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
  retryAttempts: 0, // the library would send the old cursor again
});

for (let after = null; ; ) {
  try {
    for await (const { data, errors } of client.iterate({ query, variables: { after } })) {
      if (errors) throw new Error(JSON.stringify(errors));
      const [frame] = Object.values(data);
      after = frame.cursor;
      console.log(JSON.stringify(frame));
    }
  } catch (error) {
    if (Array.isArray(error)) throw new Error(JSON.stringify(error));
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
}
