"""What the demo says about ready-made corpora, in Chinese; the names are those of english_corpora.py."""

# In the selector, behind a title
MARKED = "{title}（{marks}）"
MARKS = {"private": "私有", "stale": "已过时", "damaged": "已损坏"}
MARKS_BETWEEN = "，"

# Below the selector
ABOUT = "{description} {language}，许可：{licence}。"
ABOUT_PRIVATE = "{description} {language}。在本机添加，只在本机提供。"
ABOUT_MINE = "您自己的文本，只有您能看到。文件：{names}。"

# Status line
STALE = "“{title}”已过时：它是为其他模型、由其他版本或根据其他文本制作的。请按“重建”重新制作。"
DAMAGED = "“{title}”的文件已损坏。请按“重建”重新制作。"
REBUILDING = "正在重建“{title}”：{stage}"
NO_REBUILD = "此语料库可以直接使用，或已不存在，请重新选择。"

# Labels
REBUILD = "重建"
NAME = "名称"
NAME_INFO = "可选。选择现成语料库，即换上您自己的文本，仅您可见。"
