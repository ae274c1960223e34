"""What the page shows, in Chinese: the names of ``english.py``. What is missing here is said in English.

What is said of generators, and of what went wrong, is in ``chinese_generators.py`` and ``chinese_problems.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

TAGLINE = "把长文本通读一遍并记住，再依据可查证的证据回答问题。"

# Status line
LOADING = "正在载入模型。页面已可使用，问题会在模型就绪后回答。"
CHOOSE = "请选择一个语料库，或添加您自己的文档。"
READY = "已就绪：“{title}”记忆完成（{tokens} 个 token），请提问。"
READY_PARTLY = {
    ("memory", "vectors"): "“{title}”已可提问（{tokens} 个 token）。目前只按词语检索，还没有线索。",
    ("vectors",): "“{title}”已可提问（{tokens} 个 token）。语义索引建好之前，先按词语检索。",
    ("memory",): "“{title}”已可提问（{tokens} 个 token），目前还没有线索。",
}
READY_UNREAD = "检索模型不支持{language}，段落将按词语查找（详见“记忆”）。"
QUEUED = "前面还有 {count} 个问题，轮到时会自动开始。"
PASSAGES_FOUND = "{seconds} 秒内找到 {count} 个段落。"
OPENING = "正在打开“{title}”：{stage}"
ASKING = "{stage}（{seconds} 秒）"
STOPPED = "已停止，写好的内容已保留。"
DONE = "回答完成，用时 {seconds} 秒。"
COMPARING = "正在用普通 RAG 回答：{status}"
COMPARED = "回答完成，用时 {seconds} 秒；普通 RAG 用时 {plain} 秒，详见“对比”。"
COMPARING_FAILED = "回答完成，用时 {seconds} 秒。普通 RAG 未能回答，详见“对比”。"
MEMORISING = "正在记忆“{title}”：{stage}"
MEMORISED = "“{title}”记忆完成：{tokens} 个 token，用时 {seconds}。"
MEMORISING_STOPPED = "已停止记忆。文件仍在，点击“开始记忆”可重新开始。"
MEMORISING_KEPT = "已停止记忆，已完成的部分已保留，“{title}”可以提问。点击“继续”完成其余部分。"
MEMORISING_FAILED = "{reason}此前完成的部分已保留，“{title}”可以提问。点击“继续”完成其余部分。"
MORE_NOTES = "其他文件的说明见“记忆”。"
FILES_READY = "共 {count} 个文件，{size}。点击“开始记忆”读取。"
FILES_SOME = "{refusals}已接收 {given} 个文件中的 {count} 个。"
NEW_CONVERSATION = "已开始新对话，之前的对话保留在列表中。"
CONVERSATION_OPENED = "对话已重新打开，请继续提问。"
CONVERSATION_DELETED = "对话已删除。"
NO_CONVERSATION = "没有找到您的这段对话，可能已被删除。"
UNDONE = "已撤回，问题已放回输入框。"
LIKED = "谢谢！反馈已转给本页面的维护者，不含任何文字内容。"
NOTHING_WRITTEN = "还没有写出内容就停止了。"
STOPPED_HERE = "到此停止。"
DELETED = "您的文档和对话已删除。"
NOTHING_TO_DELETE = "此页面上没有您的内容。"

# What goes on while a corpus can be asked already, by what is missing of it
GOING_ON = {
    ("memory", "vectors"): "“{title}”已可提问，目前只按词语检索，还没有线索",
    ("vectors",): "“{title}”已可提问，语义索引建好之前按词语检索",
    ("memory",): "“{title}”已可提问，目前还没有线索",
}
GOING_ON_NOW = "{words}：{stage}"
RESUME_HINT = "点击“继续”完成其余部分。"
ELAPSED = "{line}，已用 {elapsed}"

# What memorising will cost
COST = (
    "约 {tokens} 个 token。约 {words}后可以提问，{clues}{vectors}后可按语义检索。"
    "记忆将保存 {held} 个 token 的摘要，占用磁盘 {disk}。"
)
COST_CLUES = "{memory}后有线索，"
COST_SHORT = "约 {tokens} 个 token，记忆约需 {seconds}。"
COST_UNKNOWN = "PDF 和 DOCX 文件的文字量要在读取后才知道。"
COST_LATER = "模型载入后才能估计所需时间。"

NO_DOWNLOADS = "不能用网址提供文件，请上传文件本身。"
BUSY_MINE = "您已有 {count} 份文本正在记忆，请等其中一份完成，或将其停止。"

TOO_MUCH_TEXT = "文件的文字量超出目前可用的内存。请减少每次的文件数量，或稍后再试。"

ASKED_ENOUGH = "您已有 {count} 个问题正在回答，请等其中一个完成，或将其停止。"

# Stages
STAGES = {
    "waiting": "等待其他任务完成",
    "starting": "准备开始",
    "models": "载入模型",
    "reading": "读取文件",
    "splitting": "切分段落",
    "indexing words": "建立词语索引",
    "embedding": "建立语义索引",
    "choosing gists": "选取摘要",
    "writing gists": "撰写摘要",
    "memorising": "将摘要读入记忆",
    "queue": "正在排队，等待其他问题",
    "understand": "正在理解问题",
    "recall": "正在回忆线索",
    "retrieve": "正在查找证据",
    "write": "正在撰写回答",
    "later": "等待第一个回答完成",
    "plain": "正在用普通 RAG 回答",
}
STAGE_SHARE = "{stage} {share}%"
STAGE_LEFT = "{stage}，大约还要 {time}"

# Labels
CORPUS = "语料库"
CORPUS_INFO = "您要提问的内容"
FILES = "添加您自己的文档"
FILES_INFO = "支持 TXT、PDF、DOCX，每个文件不超过 {size} MB。只有此浏览器可以看到，{hours} 小时后自动删除。"
WAITING = "待记忆的文件"
MEMORISE = "开始记忆"
RESUME = "继续"
UNLOCK = "文件密码"
UNLOCK_INFO = "仅用于读取这一次，不会存储或写入日志。"
STOP = "停止"
STOP_MEMORISING = "停止记忆"
DELETE = "删除我的数据"
WRITTEN, WRITTEN_TITLE = "文本", "标题"
SETTINGS = "设置"
GENERATOR = "生成模型"
GENERATOR_INFO = "由谁来撰写回答"
KEY = "API 密钥"
KEY_INFO = "仅用于您的提问，不会存储或写入日志。"
MODEL = "模型"
ADDRESS = "服务器地址"
ADDRESS_INFO = "例如 http://localhost:8000/v1（Azure 填写终结点）"
TEMPERATURE = "温度"
TEMPERATURE_INFO = "0 最稳定，2 最多样"
MAX_TOKENS = "回答长度上限"
MODE = "模式"
MODES = {
    "memorag": "MemoRAG",
    "rag": "普通 RAG",
    "qa": "仅凭记忆",
    "summarize": "总结",
    "full": "全文",
}
MODE_INFOS = {
    "memorag": "先从记忆中回忆线索，再据此查找段落。适合大多数问题，包括答案分散在多处的问题。",
    "rag": "常规做法：不用记忆，直接取语义最接近问题的段落。速度最快，适合对比或查单个事实。",
    "qa": "仅凭记忆回答，没有段落可供查证。适合先有个初步印象。",
    "summarize": "按记忆中的要点梳理全文，您的问题决定侧重点。适合了解概貌。",
    "full": "把全文交给生成模型。适合短文本和能读长文的生成模型；速度慢，文本放不下时无法使用。",
}
COMPARE = "与普通 RAG 对比"
COMPARE_INFO = "不用记忆再回答一次，并排显示两个回答"
QUESTION = "您的问题"
ASK = "提问"
QUESTION_PLACEHOLDER = "就语料库提问"
CONVERSATION = "对话"
CONVERSATION_NEW = "新对话"
CONVERSATION_DELETE = "删除对话"
EXPORT = "导出"
EVIDENCE, COMPARISON, MEMORY, RUN = "证据", "对比", "记忆", "运行"
THOUGHT_CLUES = "回忆线索"
THOUGHT_CLUES_DONE = "回忆线索：找到 {count} 条"
THOUGHT_EVIDENCE = "查找证据"
THOUGHT_EVIDENCE_DONE = "查找证据：找到 {count} 个段落"
THOUGHT_UNDERSTOOD = "问题理解为"
MORE = "另有 {count} 个"
PAGE = "第 {page} 页"
PAGES = "第 {page} 页"
PICTURE = "查看第 {page} 页"
PICTURE_OF = "{document} 第 {page} 页，已标出该段落"
BY_QUESTION = "问题"
BY_CLUES = "线索：{count} 条"
LANGUAGE = "语言"
TEXT = "文本"
TEXT_SIZE = "{tokens} 个 token，{chunks} 个段落"
MEMORY_SIZE = "{tokens} 个 token 的摘要，{size}"
FOUND = "找到"
FOUND_NOTHING = "没有找到用得上的内容"
DRAFT = "记忆自己的草稿（没有证据）"
FINAL = "依据证据的回答"
FIRST_WORD = "首字"
WHOLE_ANSWER = "完整回答"
LENGTH = "长度"
SECONDS = "{seconds} 秒"
TOKENS = "{count} 个 token"
SPEED = "，每秒 {count} 个"
RUN_PASSAGES = "，{count} 个段落"
LONGER = "加长回答，重新生成"
NO_CLUES = "没有回忆到有用的线索，直接使用问题本身。"
CLUE_KINDS = {"span": "事实", "surrogate": "子问题", "draft": "回答草稿", "point": "要点"}
RETRIEVER = "检索模型"
HARDWARE = "硬件"
CHOICES = "为本机选择的配置"
NO_EVIDENCE = "没有使用证据：此模式仅凭记忆回答。"
UNCITED = "没有段落支持这句话"
UNCITED_NOTE = "带虚线的句子没有段落支持，请自行核实。"
EVIDENCE_EMPTY = "回答所依据的段落会显示在这里，编号与回答中的引用一致。"
MEMORY_EMPTY = "记忆的内容以及每个问题回忆到的线索会显示在这里。"
RUN_EMPTY = "上一次回答的用时会显示在这里。"
COMPARISON_EMPTY = "在“设置”中打开“与普通 RAG 对比”后，同一问题的两个回答会并排显示在这里。"
COMPARISON_SAME = "这个回答本身就来自普通 RAG，无从对比。请选择其他模式。"
COMPARISON_FAIR = "两个回答由同一生成模型在相同限制下先后写成。"
COMPARISON_BOTH = "两者都找到的段落：{both} 个；仅{first}找到：{first_only} 个；仅{second}找到：{second_only} 个。"
COMPARISON_TIMES = {"线索": "clues", "证据": "retrieval", "首字": "first_token", "完整回答": "total"}
SHARED = "两者都找到"
ALONE = "仅此处找到"
CITED = "已引用"
PROBLEM = "没有回答：{sentence}"
PROBLEM_LATE = "回答中断：{sentence}"
CUT = "回答已达到 {tokens} 个 token 的上限。调高“回答长度上限”可看到更多内容。"
CLUES_NOTE = "线索是记忆给出的提示，可能有误：只用来帮助查找段落，绝不作为证据。"
EMPTY_CHAT = (
    "**1. 选择**一个语料库，或添加您自己的文档，只需记忆一次。  \n"
    "**2. 提问。** 系统从记忆中回忆线索，再据此查找段落。  \n"
    "**3. 查证。** 回答中的 [1] 等编号对应“*证据*”中的段落。"
)

KEYS_TITLE = "键盘"
KEYS = {
    "/": "转到问题输入框",
    "Enter": "提问；Shift+Enter 换行",
    "Esc": "停止回答",
    "[ ]": "上一个、下一个证据段落",
    "n": "新对话",
    "?": "显示或隐藏此列表",
}
CLOSE = "关闭"
SURE = {
    "delete": "要删除您在此服务器上的全部文档、记忆和对话吗？",
    "delete-conversation": "要删除这个对话吗？",
}

# Questions to begin with about a visitor's own documents: of the kinds that need the whole text
OWN_QUESTIONS = (
    "这份文本讲什么？有哪些要点？",
    "其中最重要的人物或组织有哪些？他们之间是什么关系？",
    "从开头到结尾，情况发生了哪些变化？",
    "哪些数字、日期和金额最重要？",
)

# Languages: what retrievers are tested for, by code
LANGUAGES = {
    "ar": "阿拉伯语",
    "de": "德语",
    "en": "英语",
    "es": "西班牙语",
    "fr": "法语",
    "hi": "印地语",
    "it": "意大利语",
    "ja": "日语",
    "ko": "韩语",
    "nl": "荷兰语",
    "pl": "波兰语",
    "pt": "葡萄牙语",
    "ru": "俄语",
    "tr": "土耳其语",
    "vi": "越南语",
    "zh": "中文",
}
UNREAD = (
    "用几个句子测试后发现，检索模型 {retriever} 不支持{language}：段落只能按词语查找，不能按语义查找。"
    "多语言检索模型两者都支持，页面维护者可以换用，例如 MEMORAG_RETRIEVER=BAAI/bge-m3。"
)


def size(count: float) -> str:
    """Return a number of bytes for people."""
    if count < 1024:
        return f"{count:.0f} 字节"
    for unit in ("KB", "MB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} GB"


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} 秒"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} 分钟"
    return f"{seconds / 3600:.1f} 小时"


def listing(parts: Sequence[str]) -> str:
    """Return words as a list for people."""
    return f"{'、'.join(parts[:-1])}和{parts[-1]}" if len(parts) > 1 else "".join(parts)


def count(number: int) -> str:
    """Return a rough number for people; Chinese counts in ten thousands."""
    if number < 10_000:
        return f"{number:,}"
    if number < 100_000_000:
        return f"{number / 1e4:.1f} 万" if number < 100_000 else f"{number / 1e4:.0f} 万"
    return f"{number / 1e8:.1f} 亿"
