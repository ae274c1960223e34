"""What the engine says to visitors, in Chinese: English sentences with {parts}, as the engine words them.

The engine knows no languages but those of documents. A sentence that is not here is shown in English.
"""

from __future__ import annotations

ERRORS = {
    # Files
    '"{name}" is empty (0 bytes). Upload a TXT, PDF or DOCX file with text in it.': (
        "“{name}”是空文件（0 字节）。请上传有文字的 TXT、PDF 或 DOCX 文件。"
    ),
    '"{name}" holds only white space. Upload a file with text in it.': "“{name}”只有空白。请上传有文字的文件。",
    '"{name}" is not a text: it looks like a binary file. Upload a TXT, PDF or DOCX file.': (
        "“{name}”不是文本，看起来是二进制文件。请上传 TXT、PDF 或 DOCX 文件。"
    ),
    '"{name}" is a {suffix} file; only TXT, PDF and DOCX are read. Save it as one of these.': (
        "“{name}”是 {suffix} 文件，只能读取 TXT、PDF 和 DOCX。请另存为其中一种格式。"
    ),
    '"{name}" is named {suffix} but is not a {kind} file, or is damaged. '
    "Export it again as {type}, or upload the original TXT, PDF or DOCX.": (
        "“{name}”的扩展名是 {suffix}，但它不是 {kind} 文件，或已损坏。"
        "请重新导出为 {type}，或上传原始的 TXT、PDF 或 DOCX 文件。"
    ),
    '"{name}" cannot be opened. Check that the file is still there and may be read.': (
        "“{name}”无法打开。请检查文件是否还在、是否可读。"
    ),
    '"{name}" is not there, or is not a file. Give the path of a TXT, PDF or DOCX file.': (
        "“{name}”不存在，或不是文件。请提供 TXT、PDF 或 DOCX 文件的路径。"
    ),
    '"{name}" has {size}; at most {limit} are read. Split it and upload the parts.': (
        "“{name}”大小为 {size}，最多读取 {limit}。请拆分后分别上传。"
    ),
    '"{name}" holds more than {limit} characters, and no more are read. Split it and upload the parts.': (
        "“{name}”超过 {limit} 个字符的读取上限。请拆分后分别上传。"
    ),
    '"{name}" needs more memory to be read than there is. Split it and upload the parts.': (
        "内存不足，无法读取“{name}”。请拆分后分别上传。"
    ),
    '"{name}" takes more than {limit} of memory to read. Split it, or save it as TXT, and upload that.': (
        "读取“{name}”需要超过 {limit} 的内存。请拆分，或另存为 TXT 后上传。"
    ),
    '"{name}" took longer than {seconds} s to read. Split it, or save it as TXT, and upload that.': (
        "读取“{name}”超过了 {seconds} 秒。请拆分，或另存为 TXT 后上传。"
    ),
    '"{name}" made its reader crash. Open it in the program it comes from, save it again and upload the copy.': (
        "读取“{name}”时程序崩溃。请用原来的软件打开，重新保存后上传副本。"
    ),
    '"{name}" holds no text. Give a text with at least one word.': "“{name}”没有文字。请提供至少含一个词的文本。",
    'A document "{name}" is there already. Remove it first, or choose another name.': (
        "已有文档“{name}”。请先将其移除，或换一个名称。"
    ),
    '"{name}" holds {count} broken characters; each is shown as \ufffd.': (
        "“{name}”中有 {count} 个损坏的字符，均显示为 \ufffd。"
    ),
    # PDF
    '"{name}" is damaged or not a complete PDF. Open it in a PDF viewer, save it again and upload the copy.': (
        "“{name}”已损坏，或不是完整的 PDF。请用 PDF 阅读器打开，重新保存后上传副本。"
    ),
    '"{name}" has no text layer: its pages seem to be scanned images, and text recognition (OCR) is not done here. '
    "Upload a PDF with a text layer.": (
        "“{name}”没有文字层，页面似乎是扫描图像，而这里不做文字识别（OCR）。请上传带文字层的 PDF。"
    ),
    '"{name}" is protected by a password. Give the password, or remove the protection and upload it again.': (
        "“{name}”受密码保护。请输入密码，或解除保护后重新上传。"
    ),
    'The password does not open "{name}". Give another one, or remove the protection and upload it again.': (
        "密码打不开“{name}”。请换一个密码，或解除保护后重新上传。"
    ),
    '"{name}" has {pages} pages; at most {limit} are read. Split it and upload the parts.': (
        "“{name}”有 {pages} 页，最多读取 {limit} 页。请拆分后分别上传。"
    ),
    '"{name}" has endlessly many pages; at most {limit} are read. Split it and upload the parts.': (
        "“{name}”的页数没有尽头，最多读取 {limit} 页。请拆分后分别上传。"
    ),
    'Pages of "{name}" that could not be read and are left out: {pages} ({count} of {total}).': (
        "“{name}”中有几页无法读取，已略去：第 {pages} 页（共 {total} 页，略去 {count} 页）。"
    ),
    "Page {page} took longer than {seconds} s to draw. Look at it in a PDF viewer.": (
        "绘制第 {page} 页超过了 {seconds} 秒。请用 PDF 阅读器查看。"
    ),
    "Page {page} is not there or cannot be drawn. Look at it in a PDF viewer.": (
        "第 {page} 页不存在或无法绘制。请用 PDF 阅读器查看。"
    ),
    # Word
    '"{name}" is a damaged Word document. Open it in a word processor, save it again as DOCX and upload that.': (
        "“{name}”是损坏的 Word 文档。请用文字处理软件打开，重新保存为 DOCX 后上传。"
    ),
    '"{name}" holds no text that can be read. Upload a document with text in it.': (
        "“{name}”没有可读取的文字。请上传有文字的文档。"
    ),
    '"{name}" is protected by a password, and Word files are not unlocked here. '
    "Remove the protection in a word processor and upload it again.": (
        "“{name}”受密码保护，而这里不能解锁 Word 文件。请用文字处理软件解除保护后重新上传。"
    ),
    '"{name}" is in the old Word format (.doc). Save it as .docx and upload that.': (
        "“{name}”是旧的 Word 格式（.doc）。请另存为 .docx 后上传。"
    ),
    '"{name}" unpacks to {size}, more than can be read safely. Split it, or save it as TXT.': (
        "“{name}”解压后有 {size}，超出可以安全读取的大小。请拆分，或另存为 TXT。"
    ),
    # Questions and their limits
    "Nothing has been memorised yet: call memorize or load first, or give a context.": (
        "还没有记忆任何内容，请先记忆一份文本。"
    ),
    "The question is empty; write a question.": "问题为空，请输入问题。",
    "The prompt is empty; give some text.": "提示词为空，请输入文字。",
    "The text to memorise is empty; give some text.": "要记忆的文本为空，请提供文字。",
    "max_new_tokens is {given}; {name} takes 1 to {most}.": ("回答长度上限为 {given}，{name} 只接受 1 到 {most}。"),
    "The temperature is {given}; give 0 (most certain) to 2 (most varied).": (
        "温度为 {given}，请提供 0（最稳定）到 2（最多样）之间的数字。"
    ),
    "The prompt has {tokens} tokens and the answer may have {answer}, but {name} reads at most {most} tokens; "
    "shorten the text or lower max_new_tokens.": (
        "提示词有 {tokens} 个 token，回答最多 {answer} 个，但 {name} 最多读取 {most} 个。"
        "请缩短文本，或调低回答长度上限。"
    ),
    "The text has {tokens} tokens and a question needs {more} more, but {name} reads at most {most} tokens; "
    "shorten the text, take a model with a longer window, or use MemoRAGLite.": (
        "文本有 {tokens} 个 token，提问还需要 {more} 个，但 {name} 最多读取 {most} 个。"
        "请缩短文本，换用窗口更长的模型，或使用 MemoRAGLite。"
    ),
    "The text has about {tokens} tokens and a question needs {more} more, but {name} reads at most {most}; "
    "shorten the text or name a larger context_length.": (
        "文本约有 {tokens} 个 token，提问还需要 {more} 个，但 {name} 最多读取 {most} 个。"
        "请缩短文本，或设置更大的 context_length。"
    ),
    "Stopped on request.": "已按要求停止。",
    # Generators behind an API
    '{label} needs an API key in api_dict["api_key"]; get it at {place}.': "{label} 需要 API 密钥，可在 {place} 获取。",
    'api_dict["api_key"] holds a space or a character that no API key has. Copy it again.': (
        "API 密钥中有空格或密钥不会有的字符，请重新复制。"
    ),
    'Source "{source}" needs a full web address in api_dict["{field}"], such as {example}.': (
        "需要完整的服务器地址，例如 {example}。"
    ),
    "{label} did not accept the API key for {model} (status {status}).{where}": (
        "{label} 不接受用于 {model} 的 API 密钥（状态码 {status}）。{where}"
    ),
    "{label} does not let this API key use {model} from here (status {status}): it lacks a permission, or the service "
    "is not offered in this region.{where}": (
        "{label} 不允许此 API 密钥从这里使用 {model}（状态码 {status}）：密钥权限不足，或该服务未在此地区提供。{where}"
    ),
    " Keys are found at {place}.": "密钥可在 {place} 查到。",
    " Give the key that it asks for.": "请填写它要求的密钥。",
    '"Keys and Endpoint" in the Azure portal': "Azure 门户的“密钥和终结点”",
    "The server": "服务器",
    "The quota of this API key is used up. Check the plan and billing at {host}.": (
        "此 API 密钥的额度已用完。请到 {host} 检查套餐和账单。"
    ),
    "{label} asks to wait: too many requests or tokens. Try again in a minute.": (
        "{label} 要求稍候：请求或 token 过多。请一分钟后再试。"
    ),
    "{host} knows no model {model}. Check the name and the address.": "{host} 没有模型 {model}。请检查名称和地址。",
    "{host} knows no deployment {model}. Check the name and the address.": (
        "{host} 没有部署 {model}。请检查名称和地址。"
    ),
    "{host} sends requests on to another address, which is not followed. Give that address; often it begins with "
    "https.": "{host} 把请求转到了另一个地址，这里不会跟随。请直接填写那个地址，通常以 https 开头。",
    "The content filter of {host} refused the question or the answer. Rephrase it.": (
        "{host} 的内容过滤器拒绝了问题或回答。请换一种说法。"
    ),
    "The prompt is too long for {model}. Use fewer or shorter passages.": (
        "提示词对 {model} 来说太长。请减少或缩短段落。"
    ),
    "{model} used up its tokens before writing an answer. Allow more (max_new_tokens).": (
        "{model} 在写出回答之前就用完了 token。请调高回答长度上限。"
    ),
    "{host} sent nothing for {seconds} seconds. Try again later, or set a longer timeout.": (
        "{host} 在 {seconds} 秒内没有任何回应。请稍后再试。"
    ),
    "The connection to {host} failed. Check the address and the network.": "无法连接 {host}。请检查地址和网络。",
    "No safe connection to {host}: it has no valid certificate, or speaks no https. Check the address.": (
        "无法安全连接 {host}：证书无效，或不支持 https。请检查地址。"
    ),
    "The connection to {host} broke off in the middle of the answer. Ask again.": (
        "回答到一半时与 {host} 的连接中断。请重新提问。"
    ),
    "{host} broke off the answer, being too busy or in trouble. Try again later.": (
        "{host} 繁忙或出现故障，中断了回答。请稍后再试。"
    ),
    "{host} reported an error while answering. Try again later, or choose another model.": (
        "{host} 在回答时报告错误。请稍后再试，或换一个模型。"
    ),
    "{host} reported an error (status {status}). Try again later, or choose another model.": (
        "{host} 报告错误（状态码 {status}）。请稍后再试，或换一个模型。"
    ),
    "{host} sent no chat completion. Check the address: most end in /v1.": (
        "{host} 返回的不是对话补全结果。请检查地址，通常以 /v1 结尾。"
    ),
    # Saved memories
    "The bundle {name} is damaged and cannot be read; memorise the text again.": (
        "记忆 {name} 已损坏，无法读取。请重新记忆该文本。"
    ),
    "The manifest of the bundle {name} is damaged; memorise the text again.": (
        "记忆 {name} 的清单已损坏。请重新记忆该文本。"
    ),
    "The bundle {name} is incomplete: {part} is missing; memorise the text again.": (
        "记忆 {name} 不完整，缺少 {part}。请重新记忆该文本。"
    ),
    "The bundle {name} is of another format ({found}) than this version reads ({known}); memorise the text again.": (
        "记忆 {name} 的格式（{found}）与此版本（{known}）不符。请重新记忆该文本。"
    ),
    "The bundle {name} was made with the retriever {made} ({print}), but {other} ({print2}) is in use; "
    "load it with the first, or memorise the text again.": (
        "记忆 {name} 是用检索模型 {made} 建立的，而现在使用的是 {other}。请重新记忆该文本。"
    ),
    "The bundle {name} was replaced while it was read; load it again.": "记忆 {name} 在读取时被替换。请重新打开。",
    "The bundle {name} could not be written: {reason}.": "记忆 {name} 无法写入：{reason}。",
    "{name} could not be written: {reason}; free some space and try again.": (
        "{name} 无法写入：{reason}。请腾出空间后再试。"
    ),
    # Models
    "The model {name} is not on this machine and the Hugging Face Hub cannot be reached: {advice}.": (
        "本机没有模型 {name}，也无法连接 Hugging Face Hub：{advice}。"
    ),
    "The model {name} is gated: accept its terms on the Hub and give an access token.": (
        "模型 {name} 需要授权。请在 Hub 上接受其条款，并提供访问令牌。"
    ),
    "The Hub has no model {name}, or it is private: check the name, or give a token.": (
        "Hub 上没有模型 {name}，或它是私有的。请检查名称，或提供令牌。"
    ),
    "The model {name} could not be loaded: {reason}": "模型 {name} 无法载入：{reason}",
    "The retriever {name} could not be loaded: {reason}": "检索模型 {name} 无法载入：{reason}",
}
