"""What is said of the models that write answers, in Chinese: the names of ``english.py``."""

from __future__ import annotations

NAMES = {
    "local": "本地模型",
    "openai": "OpenAI",
    "azure": "Azure OpenAI",
    "deepseek": "DeepSeek",
    "huggingface": "Hugging Face 路由",
    "compatible": "兼容 OpenAI 的服务器",
}
GENERATORS = NAMES | {name: f"{NAMES[name]}（需要密钥）" for name in ("openai", "azure", "deepseek", "huggingface")}

# Which generators can be used now, and why another cannot
OFFER = "{name}（{state}）"
OFFER_NEEDS = "需要{parts}"
OFFER_PARTS = {
    "key": "密钥",
    "address": "地址",
    "public address": "公网地址",
    "model": "模型",
    "endpoint": "终结点",
    "deployment": "部署",
}
OFFER_KEY = "已填密钥，未测试"
OFFER_ADDRESS = "已填地址，未测试"
OFFER_TESTED = "已测试，{seconds} 秒"
OFFER_FAILED = "测试未通过"
LOCAL_MODEL = "{name}：{model}"
LOCAL_LOADING = "正在载入"
DEPLOYMENT = "部署"
DEPLOYMENT_INFO = "部署名称，以 Azure 门户中显示的为准"
MODEL_CHOICE_INFO = "请选择，或直接填写名称。点击“测试连接”可列出该服务的模型。"
ENDPOINT = "终结点"
ENDPOINT_INFO = "例如 https://NAME.openai.azure.com"
ADDRESS_PUBLIC_INFO = "例如 https://host/v1；公开页面上不能使用本服务器的内网地址"
KEY_FROM = "可在 [{place}](https://{place}) 获取。"
KEY_STAYS = "刷新页面后不再保留。"
KEY_OPTIONAL = "服务器要求时才需填写。"
TEST = "测试连接"
TESTING = "正在用一个简短的请求测试 {name}。"
TESTED = "{name} 可用：{model} 用时 {seconds} 秒作答。"
TESTED_MODELS = "可选模型：{count} 个。"
CHOOSE_MODEL = "{name} 可以连接，可选模型 {count} 个。请在“模型”中选择一个，再测试一次。"
NO_SUCH_MODEL = "{name} 没有模型 {model}，现有：{models}。请在“模型”中选择一个。"
NO_MODEL_LIST = "{name} 需要模型名称，但没有提供列表；请在“模型”中填写名称。"
NOTHING_THERE = "{name} 没有模型 {model}，也没有模型列表。请检查地址，通常以 /v1 结尾。"
TEST_LATE = "{name} 在 {seconds} 秒内没有回应，可能正在载入模型；请一分钟后再测试。"
FORGET_KEY = "清除密钥"
FORGOTTEN = "此页面上的密钥已清除，其他地方从未保存。"

# What a service behind an API reports
API_STATUS = "（状态码 {status}）"
API_FAILURES = {
    "key": "{name} 不接受此 API 密钥{status}。请检查密钥是否复制完整、是否仍然有效，或换一个密钥。",
    "forbidden": "{name} 不允许此密钥使用 {model}{status}：密钥权限不足，或该服务未在本服务器所在地区提供。"
    "请到您的账户中调整，或换一个模型。",
    "quota": "此 API 密钥的额度已用完。请到 {name} 查看套餐和账单，或换一个生成模型。",
    "busy": "{name} 要求稍候：请求或 token 过多。请一分钟后再试。",
    "model": "{name} 没有模型 {model}。请检查名称，或点击“测试连接”查看可用的模型。",
    "deployment": "{name} 没有部署 {model}。请在 Azure 门户中核对部署名称和终结点。",
    "moved": "{host} 把请求转到了另一个地址，这里不会跟随。请直接填写那个地址，通常以 https 开头。",
    "filter": "{name} 的内容过滤器拒绝了问题或回答。请换一种问法，或换一个生成模型。",
    "long": "问题加上段落对 {model} 来说太长。请不要使用“全文”模式，或换用能读更长文本的模型。",
    "no room": "{model} 还没写出内容就用完了 token，会先思考的模型常有这种情况。请调高“回答长度上限”。",
    "silent": "{host} 在 {seconds} 秒内没有任何回应。请重试，或换一个模型。",
    "unreachable": "无法连接 {host}。请检查地址，并确认服务器正在运行。",
    "certificate": "无法安全连接 {host}：证书无效，或不支持 https。请检查地址。",
    "broken off": "回答到一半时与 {host} 的连接中断。请重新提问。",
    "abandoned": "{name} 繁忙或出现故障，中断了回答。请稍后再试。",
    "trouble": "{name} 报告错误{status}。请稍后再试，或换一个模型。",
    "format": "{host} 返回的不是对话服务的回答。请检查地址，通常以 /v1 结尾。",
}
API_KEPT = "您的问题已保留。"
