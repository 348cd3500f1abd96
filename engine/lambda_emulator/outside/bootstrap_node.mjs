// The runtime for Node: asks the Runtime API for invocations and calls the handler (lambda.md 5).
//
// No dependency but Node. What a handler sees, how it may answer (a promise, a callback, context.done, a stream) and what
// becomes of its errors is what AWS's own runtime does.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import util from "node:util";

const BASE = "/2018-06-01/runtime";
const [HOST, PORT] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;
const EXIT_INIT = 1;
const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response";

// One connection, which does not keep the process from being idle.
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let requestId = "";

function call(method, route, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const head = body === undefined ? headers : { ...headers, "Content-Length": Buffer.byteLength(body) };
    const request = http.request({ host: HOST, port: PORT, method, path: BASE + route, headers: head, agent }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        const data = Buffer.concat(parts).toString();
        if (response.statusCode >= 300 && response.statusCode !== 413) {
          reject(new Error(`${method} ${route}: the Runtime API answered ${response.statusCode}: ${data}`));
        } else {
          resolve({ headers: response.headers, data });
        }
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

// ── errors and logs ───────────────────────────────────────────────────────────────────────────────────────────────────

class Fault extends Error {
  constructor(type, message) {
    super(message);
    this.name = type;
  }
}

function errorBody(error) {
  if (util.types.isNativeError(error) || error instanceof Error) {
    return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? "").split("\n") };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

function errorType(body) {
  return String(body.errorType).replace(/[^\x20-\x7e]/g, "?");
}

function logError(title, error) {
  const body = errorBody(error);
  writeLog("ERROR", [title, JSON.stringify({ ...body, trace: undefined, stack: body.trace })].join("\t"));
}

const LOGS_JSON = (process.env.AWS_LAMBDA_LOG_FORMAT ?? "").toUpperCase() === "JSON";
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const LEAST = LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL ?? "").toUpperCase());

function writeLog(level, text) {
  if (LEVELS.indexOf(level) < LEAST) return;
  const timestamp = new Date().toISOString();
  const line = LOGS_JSON
    ? JSON.stringify({ timestamp, level, requestId: requestId || undefined, message: text })
    : `${timestamp}\t${requestId || "undefined"}\t${level}\t${text.replaceAll("\n", "\r")}`; // one event of the log
  fs.writeSync(1, line + "\n"); // at once: the process is frozen between invocations
}

function patchConsole() {
  const names = { log: "INFO", info: "INFO", debug: "DEBUG", warn: "WARN", error: "ERROR", trace: "TRACE" };
  for (const [name, level] of Object.entries(names)) {
    console[name] = (...values) => writeLog(level, util.format(...values));
  }
}

async function exitWith(error, code) {
  try {
    const body = errorBody(error);
    const headers = { "Lambda-Runtime-Function-Error-Type": errorType(body), "Content-Type": "application/json" };
    const route = requestId ? `/invocation/${requestId}/error` : "/init/error";
    await call("POST", route, JSON.stringify(body), headers);
  } finally {
    process.exit(code);
  }
}

// ── the handler ───────────────────────────────────────────────────────────────────────────────────────────────────────

function isModule(file) {
  if (!file.endsWith(".js")) return file.endsWith(".mjs");
  for (let directory = path.dirname(file); ; directory = path.dirname(directory)) {
    const found = path.join(directory, "package.json");
    if (fs.existsSync(found)) return JSON.parse(fs.readFileSync(found, "utf8")).type === "module";
    if (directory === path.dirname(directory)) return false;
  }
}

async function load(name) {
  const base = path.basename(name);
  const match = base.match(/^([^.]*)\.(.+)$/);
  if (match === null || name.includes("..")) throw new Fault("Runtime.MalformedHandlerName", "Bad handler");
  const [, moduleName, member] = match;
  const root = process.env.LAMBDA_TASK_ROOT ?? process.cwd();
  const stem = path.resolve(root, path.dirname(name), moduleName);
  const file = ["", ".js", ".mjs", ".cjs"].map((end) => stem + end).find((one) => fs.existsSync(one) && fs.statSync(one).isFile());
  let loaded;
  try {
    if (file !== undefined && isModule(file)) loaded = await import(pathToFileURL(file).href);
    else loaded = createRequire(path.join(root, "index.js"))(file ?? stem);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Fault("Runtime.UserCodeSyntaxError", `SyntaxError: ${error.message}`);
    if (error?.code === "MODULE_NOT_FOUND" || error?.code === "ERR_MODULE_NOT_FOUND") {
      throw new Fault("Runtime.ImportModuleError", `Error: ${error.message}`);
    }
    throw error;
  }
  const handler = member.split(".").reduce((found, part) => found?.[part], loaded) ?? loaded?.default?.[member];
  if (handler === undefined) throw new Fault("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") throw new Fault("Runtime.HandlerNotFound", `${name} is not a function`);
  return handler;
}

globalThis.awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAMING] = options?.highWaterMark ?? true;
    return handler;
  },
  HttpResponseStream: {
    from(stream, prelude) {
      stream.setContentType(PRELUDE_TYPE);
      stream.write(JSON.stringify(prelude));
      stream.write(Buffer.alloc(8)); // separates the prelude from the body
      return stream;
    },
  },
};

function contextOf(headers) {
  const environment = process.env;
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const clientContext = headers["lambda-runtime-client-context"];
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: clientContext === undefined ? undefined : JSON.parse(Buffer.from(clientContext, "latin1").toString()),
    identity: undefined,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: requestId,
    tenantId: headers["lambda-runtime-aws-tenant-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

// ── invocations ───────────────────────────────────────────────────────────────────────────────────────────────────────

let whenIdle = null; // what to do once the event loop has nothing left
process.on("beforeExit", () => {
  const action = whenIdle;
  whenIdle = null;
  action?.();
});

/** Calls the handler; resolves with its result, however it gives one. */
function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    const done = (error, result) => {
      whenIdle = null;
      if (error !== undefined && error !== null) reject(error);
      else if (!context.callbackWaitsForEmptyEventLoop) resolve(result);
      else whenIdle = () => resolve(result);
    };
    context.done = done;
    context.succeed = (result) => {
      context.callbackWaitsForEmptyEventLoop = false;
      done(null, result);
    };
    context.fail = (error) => done(error ?? "handled");
    whenIdle = () => resolve(null); // it neither answered nor left anything to wait for
    const result = handler(event, context, done);
    if (typeof result?.then === "function") {
      result.then(
        (value) => {
          whenIdle = null;
          resolve(value);
        },
        reject,
      );
    }
  });
}

/** Calls a handler that streams: what it writes is sent as it comes, an error midway as a trailer. */
function stream(handler, event, context) {
  return new Promise((resolve, reject) => {
    const body = new PassThrough();
    let contentType = "application/octet-stream";
    let request = null;
    body.setContentType = (type) => {
      contentType = type;
    };
    const open = () => {
      if (request !== null) return;
      const headers = {
        "Content-Type": contentType,
        "Lambda-Runtime-Function-Response-Mode": "streaming",
        "Transfer-Encoding": "chunked",
        Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
      };
      const route = `${BASE}/invocation/${requestId}/response`;
      request = http.request({ host: HOST, port: PORT, method: "POST", path: route, headers, agent }, (response) => {
        response.resume();
        response.on("end", resolve);
      });
      request.on("error", reject);
    };
    body.on("data", (part) => {
      open();
      if (!request.write(part)) {
        body.pause();
        request.once("drain", () => body.resume());
      }
    });
    body.on("end", () => {
      open();
      request.end();
    });
    const fail = (error) => {
      if (request === null) return reject(error);
      const told = errorBody(error);
      request.addTrailers({
        "Lambda-Runtime-Function-Error-Type": errorType(told),
        "Lambda-Runtime-Function-Error-Body": Buffer.from(JSON.stringify(told)).toString("base64"),
      });
      logError("Invoke Error", error);
      request.end();
    };
    body.on("error", fail);
    Promise.resolve()
      .then(() => handler(event, body, context))
      .then(() => setImmediate(() => body.writableEnded || body.end()), fail);
  });
}

async function respond(result) {
  let text;
  try {
    text = JSON.stringify(result === undefined ? null : result);
  } catch (error) {
    throw new Fault("Runtime.MarshalError", `Unable to stringify response body: ${error.message}`);
  }
  await call("POST", `/invocation/${requestId}/response`, text ?? "null", { "Content-Type": "application/json" });
}

async function serve(handler) {
  for (;;) {
    requestId = "";
    const { headers, data } = await call("GET", "/invocation/next");
    requestId = headers["lambda-runtime-aws-request-id"];
    const traceId = headers["lambda-runtime-trace-id"];
    if (traceId === undefined) delete process.env._X_AMZN_TRACE_ID;
    else process.env._X_AMZN_TRACE_ID = traceId;
    try {
      const context = contextOf(headers);
      const event = JSON.parse(data);
      if (handler[STREAMING]) await stream(handler, event, context);
      else await respond(await run(handler, event, context));
    } catch (error) {
      logError("Invoke Error", error);
      const body = errorBody(error);
      const head = { "Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": errorType(body) };
      await call("POST", `/invocation/${requestId}/error`, JSON.stringify(body), head);
    }
  }
}

process.on("uncaughtException", (error) => {
  logError("Uncaught Exception", error);
  exitWith(error, EXIT_UNCAUGHT_EXCEPTION);
});
process.on("unhandledRejection", (reason) => {
  const error = new Fault("Runtime.UnhandledPromiseRejection", reason?.toString());
  logError("Unhandled Promise Rejection", error);
  exitWith(error, EXIT_UNHANDLED_REJECTION);
});
patchConsole();
let handler;
try {
  handler = await load(process.env._HANDLER);
} catch (error) {
  logError("Uncaught Exception", error);
  await exitWith(error, EXIT_INIT);
}
await serve(handler);
