"""What the demo says in English of those who write answers; a part of ``english.py``."""

from __future__ import annotations

# Generators
LOCAL = "local"
NAMES = {
    LOCAL: "Local model",
    "openai": "OpenAI",
    "azure": "Azure OpenAI",
    "deepseek": "DeepSeek",
    "huggingface": "Hugging Face router",
    "compatible": "OpenAI-compatible server",
}
GENERATORS = NAMES | {name: f"{NAMES[name]} (needs a key)" for name in ("openai", "azure", "deepseek", "huggingface")}
DEFAULT_MODELS = {
    "openai": "gpt-4o",
    "azure": "",
    "deepseek": "deepseek-chat",
    "huggingface": "Qwen/Qwen2.5-7B-Instruct",
    "compatible": "",
}

# Which generators can be used now, and why another cannot
OFFER = "{name} - {state}"
OFFER_NEEDS = "needs {parts}"
OFFER_PARTS = {
    "key": "a key",
    "address": "an address",
    "public address": "an address on the open Internet",
    "model": "a model",
    "endpoint": "an endpoint",
    "deployment": "a deployment",
}
OFFER_KEY = "key given, not tested"
OFFER_ADDRESS = "address given, not tested"
OFFER_TESTED = "tested, {seconds} s"
OFFER_FAILED = "tested, does not work"
LOCAL_MODEL = "{name}: {model}"
LOCAL_LOADING = "loading"
DEPLOYMENT = "Deployment"
DEPLOYMENT_INFO = "Its own name, as the Azure portal shows it"
MODEL_CHOICE_INFO = "Choose one, or write its name. Test connection lists those that the service has."
ENDPOINT = "Endpoint"
ENDPOINT_INFO = "For example https://NAME.openai.azure.com"
ADDRESS_PUBLIC_INFO = "For example https://host/v1; on a public page, none inside this server's own network"
KEYS_AT = {
    "openai": "platform.openai.com/api-keys",
    "deepseek": "platform.deepseek.com/api_keys",
    "huggingface": "huggingface.co/settings/tokens",
}
KEY_FROM = "Get one at [{place}](https://{place})."
KEY_STAYS = "It is forgotten when you reload the page."
KEY_OPTIONAL = "Only if the server asks for one."
TEST = "Test connection"
TESTING = "Testing {name} with one short request."
TESTED = "{name} works: {model} answered in {seconds} s."
TESTED_MODELS = " Models to choose from: {count}."
CHOOSE_MODEL = "{name} can be reached. Models to choose from: {count}. Choose one under Model and test again."
NO_SUCH_MODEL = "{name} has no model {model}. It has: {models}. Choose one under Model."
NO_MODEL_LIST = "{name} needs the name of a model, and lists none; enter the name under Model."
NOTHING_THERE = "{name} knows neither {model} nor a list of models. Check the address: most end in /v1."
TEST_LATE = "{name} did not answer within {seconds} seconds. It may be loading its model; test again in a minute."
FORGET_KEY = "Forget the keys"
FORGOTTEN = "The keys on this page are forgotten. They were kept nowhere else."

# What a service behind an API reports
API_STATUS = " (status {status})"
API_FAILURES = {
    "key": "{name} did not accept the API key{status}. Check that all of it was copied and that it is still valid, or "
    "enter another one.",
    "forbidden": "{name} does not let this key use {model}{status}: the key lacks a permission, or the service is not "
    "offered in the region of this server. Change that in your account there, or choose another model.",
    "quota": "The quota of this API key is used up. See to plan and billing at {name}, or choose another generator.",
    "busy": "{name} asks to wait: too many requests or tokens. Try again in a minute.",
    "model": "{name} has no model {model}. Check the name, or press Test connection to see which there are.",
    "deployment": "{name} has no deployment {model}. Check its name and the endpoint in the Azure portal.",
    "moved": "{host} sends requests on to another address, which is not followed. Enter that one; often it begins with "
    "https.",
    "filter": "The content filter of {name} refused the question or the answer. Rephrase the question, or choose "
    "another generator.",
    "long": "The question with its passages is too long for {model}. Choose another mode than Full text, or a model "
    "that reads more.",
    "no room": "{model} used up its tokens before it wrote anything, as models do that think first. Raise the longest "
    "answer.",
    "silent": "{host} sent nothing for {seconds} seconds. Try again, or choose another model.",
    "unreachable": "No connection to {host}. Check the address, and that the server is running.",
    "certificate": "No safe connection to {host}: its certificate is not valid, or it speaks no https. Check the "
    "address.",
    "broken off": "The connection to {host} broke off in the middle of the answer. Ask again.",
    "abandoned": "{name} broke off the answer, being too busy or in trouble. Try again later.",
    "trouble": "{name} reported an error{status}. Try again later, or choose another model.",
    "format": "{host} sent no answer of a chat service. Check the address: most end in /v1.",
}
API_KEPT = " Your question is kept."
