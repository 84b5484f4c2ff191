// The same request from a shell and from Python.

/** Name and text of each. `sample` cuts long values, to be looked at; the whole ones are to be copied. */
export function snippets(stack, endpoint, event, sample = false) {
  const json = JSON.stringify(event, (_, value) => (sample && typeof value === "string" && value.length > 200 ? `${value.slice(0, 60)}...` : value));
  const isLocal = Boolean(stack.endpoint_url);
  const options = isLocal ? ` --endpoint-url ${stack.endpoint_url} --no-sign-request` : "";
  const found = [
    ["aws", `aws lambda invoke --region ${stack.region}${options} --function-name ${quoted(endpoint.arn)} \\\n  --cli-binary-format raw-in-base64-out --payload ${quoted(json)} answer.json`],
    ["boto3", boto3(stack, endpoint, json, isLocal)],
  ];
  if (endpoint.url) {
    const address = endpoint.url.replace(/\/$/, "") + (endpoint.path === "/" ? "/" : endpoint.path);
    const stream = event.stream ? "-N " : "";
    found.unshift(["curl", `curl ${stream}${quoted(address)} ${allowed(stack, endpoint)}-H 'content-type: application/json' \\\n  -d ${quoted(json)}`]);
  }
  return found;
}

/** How a request says who sends it; the shell has the keys, the page does not. */
function allowed(stack, endpoint) {
  if (endpoint.url_needs === "key") return `-H "authorization: Bearer $API_KEY" \\\n  `;
  if (endpoint.url_needs !== "signature") return "";
  return `--aws-sigv4 'aws:amz:${stack.region}:lambda' --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\\n  -H "x-amz-security-token: $AWS_SESSION_TOKEN" `;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function boto3(stack, endpoint, json, isLocal) {
  const client = isLocal
    ? `boto3.client("lambda", region_name="${stack.region}", endpoint_url="${stack.endpoint_url}", config=Config(signature_version=UNSIGNED))`
    : `boto3.client("lambda", region_name="${stack.region}")`;
  const imports = isLocal ? "\nfrom botocore import UNSIGNED\nfrom botocore.config import Config" : "";
  // JSON within a Python text: both escape backslashes and quotes alike, so one JSON.stringify more is Python.
  return `import json\n\nimport boto3${imports}\n\nanswer = ${client}.invoke(\n    FunctionName="${endpoint.arn}",\n    Payload=${JSON.stringify(json)}.encode(),\n)\nprint(json.load(answer["Payload"]))`;
}
