"""Whether an encoder reads a language: measured with a few everyday sentences, not taken from its name.

Encoders seldom say what they were trained on, and one that was not trained on a language still gives vectors for it,
which say little. An encoder reads a language when sentences of one meaning lie together and others lie apart: either
sentences and their English translations (encoders of many languages), or two ways to say the same in few shared words
(encoders of this language alone, and English itself).

How far that holds is the correlation of the similarities with "equal meaning", after each sentence's own mean is taken
out, so that it does not matter how wide or narrow an encoder's cosines are spread. all-MiniLM-L6-v2 gets 0.94 for
English and at most 0.70 for the others; the multilingual Universal Sentence Encoder 0.91 and more for the fourteen of
these that it was trained on and at most 0.36 for the two (Hindi, Vietnamese) that it was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np

# Pairs by chance correlate by 0 with a standard deviation of 0.2 (one over the number of meanings less one): four of
# them, which also lies between the encoders that were tried.
_LEAST = 0.8
# For each language the same six meanings in the same order, each said in two ways that share few words: no names,
# figures or words that many languages share, which lie together without being understood.
_SENTENCES = """
en
The child is afraid of the dark. | At night, without a lamp, little ones get scared.
We buy bread every morning. | Each day at sunrise they fetch fresh loaves from the bakery.
It rained for days and the river rose. | The stream is higher now because of the wet weather.
My grandmother is ill. | The old woman has a fever and stays in bed.
The king attacked his neighbours. | A ruler waged war on the countries around him.
She cannot find the key. | The thing that opens my door is lost.

zh
孩子怕黑。 | 夜里没有灯，小朋友就会害怕。
我们每天早上买面包。 | 他们天一亮就去烘焙店取新出炉的点心。
雨下了好几天，河水涨了。 | 因为天气潮湿，溪流比以前高了。
我的祖母生病了。 | 老奶奶发烧，躺在床上。
国王攻打了邻国。 | 一位君主向周围的国家开战。
她找不到钥匙。 | 我开门用的东西丢了。

ja
子どもは暗闇を怖がる。 | 夜、明かりがないと幼い子はおびえる。
私たちは毎朝パンを買う。 | 彼らは日の出とともに店へ焼きたてを取りに行く。
何日も雨が降り、川の水が増えた。 | 湿った天気のせいで小川の水位が上がっている。
私の祖母は病気だ。 | おばあさんは熱を出して寝ている。
王は隣国を攻めた。 | ある君主が周りの国々と戦争を始めた。
彼女は鍵を見つけられない。 | ドアを開けるためのものをなくした。

ko
아이는 어둠을 무서워한다. | 밤에 불이 없으면 꼬마들은 겁을 먹는다.
우리는 매일 아침 빵을 산다. | 그들은 해가 뜨면 제과점에서 갓 구운 것을 가져온다.
며칠 동안 비가 와서 강물이 불었다. | 궂은 날씨 때문에 개울이 더 높아졌다.
우리 할머니는 편찮으시다. | 늙은 여인이 열이 나서 누워 있다.
왕이 이웃 나라를 공격했다. | 한 군주가 주변 국가들과 전쟁을 벌였다.
그녀는 열쇠를 찾지 못한다. | 문을 여는 물건을 잃어버렸다.

ru
Ребёнок боится темноты. | Ночью без лампы малышам страшно.
Мы покупаем хлеб каждое утро. | На рассвете они приносят свежие булки из пекарни.
Несколько дней шёл дождь, и река поднялась. | Из-за сырой погоды воды в ручье стало больше.
Моя бабушка больна. | У старушки жар, она лежит в постели.
Король напал на соседей. | Правитель начал войну с окрестными странами.
Она не может найти ключ. | Пропало то, чем открывают мою дверь.

ar
الطفل يخاف من الظلام. | في الليل بلا مصباح يفزع الصغار.
نشتري الخبز كل صباح. | عند شروق الشمس يجلبون أرغفة طازجة من المخبز.
هطل المطر أياما وارتفع النهر. | الجدول أعلى الآن بسبب الطقس الرطب.
جدتي مريضة. | العجوز مصابة بالحمى وتلازم الفراش.
هاجم الملك جيرانه. | شن حاكم حربا على البلدان المحيطة به.
لا تستطيع أن تجد المفتاح. | ضاع الشيء الذي يفتح بابي.

es
El niño tiene miedo a la oscuridad. | De noche, sin lámpara, los pequeños se asustan.
Compramos pan todas las mañanas. | Al amanecer traen panecillos frescos del horno.
Llovió durante días y el río creció. | El arroyo está más alto por el tiempo húmedo.
Mi abuela está enferma. | La anciana tiene fiebre y guarda cama.
El rey atacó a sus vecinos. | Un soberano hizo la guerra a los países de alrededor.
Ella no encuentra la llave. | Se perdió lo que abre mi puerta.

fr
L'enfant a peur du noir. | La nuit, sans lampe, les petits s'effraient.
Nous achetons du pain chaque matin. | Au lever du soleil, ils vont chercher des baguettes fraîches à la boulangerie.
Il a plu pendant des jours et la rivière a monté. | Le ruisseau est plus haut à cause du temps humide.
Ma grand-mère est malade. | La vieille dame a de la fièvre et garde le lit.
Le roi attaqua ses voisins. | Un souverain fit la guerre aux pays d'alentour.
Elle ne trouve pas la clé. | J'ai perdu ce qui ouvre ma porte.

de
Das Kind hat Angst vor der Dunkelheit. | Nachts ohne Lampe fürchten sich die Kleinen.
Wir kaufen jeden Morgen Brot. | Bei Sonnenaufgang holen sie frische Semmeln vom Bäcker.
Es regnete tagelang, und der Fluss stieg. | Der Bach steht höher wegen des nassen Wetters.
Meine Großmutter ist krank. | Die alte Frau hat Fieber und liegt im Bett.
Der König griff seine Nachbarn an. | Ein Herrscher führte Krieg gegen die umliegenden Länder.
Sie findet den Schlüssel nicht. | Was meine Tür öffnet, ging verloren.

it
Il bambino ha paura del buio. | Di notte, senza lampada, i piccoli si spaventano.
Compriamo il pane ogni mattina. | All'alba prendono pagnotte fresche dal fornaio.
Ha piovuto per giorni e il fiume è salito. | Il ruscello è più alto per il tempo umido.
Mia nonna è malata. | L'anziana ha la febbre e sta a letto.
Il re attaccò i suoi vicini. | Un sovrano fece guerra ai paesi circostanti.
Lei non trova la chiave. | Si è perso ciò che apre la mia porta.

pt
A criança tem medo do escuro. | À noite, sem lâmpada, os pequenos se assustam.
Compramos pão todas as manhãs. | Ao nascer do sol eles buscam broas frescas na padaria.
Choveu durante dias e o rio subiu. | O riacho está mais alto por causa do tempo úmido.
A minha avó está doente. | A velhinha tem febre e fica na cama.
O rei atacou os seus vizinhos. | Um soberano fez guerra aos países em redor.
Ela não encontra a chave. | Perdeu-se aquilo que abre a minha porta.

nl
Het kind is bang in het donker. | 's Nachts zonder lamp schrikken de kleintjes.
Wij kopen elke ochtend brood. | Bij zonsopgang halen ze verse bollen bij de bakker.
Het regende dagenlang en de rivier steeg. | De beek staat hoger door het natte weer.
Mijn grootmoeder is ziek. | De oude vrouw heeft koorts en blijft in bed.
De koning viel zijn buren aan. | Een heerser voerde oorlog tegen de omringende landen.
Zij kan de sleutel niet vinden. | Wat mijn deur opent, ben ik kwijt.

pl
Dziecko boi się ciemności. | Nocą bez lampy maluchy odczuwają strach.
Kupujemy chleb każdego ranka. | O świcie przynoszą świeże bułki z piekarni.
Deszcz padał przez wiele dni i rzeka wezbrała. | Strumień jest wyższy z powodu mokrej pogody.
Moja babcia jest chora. | Staruszka ma gorączkę i leży w łóżku.
Król zaatakował sąsiadów. | Władca prowadził wojnę z okolicznymi krajami.
Ona nie może znaleźć klucza. | Zginęło to, czym otwieram drzwi.

tr
Çocuk karanlıktan korkuyor. | Gece lambasız kalınca küçükler ürker.
Her sabah ekmek alıyoruz. | Gün doğarken fırından taze somunlar getirirler.
Günlerce yağmur yağdı ve nehir yükseldi. | Islak hava yüzünden derenin suyu çoğaldı.
Büyükannem hasta. | Yaşlı kadının ateşi var, yatakta yatıyor.
Kral komşularına saldırdı. | Bir hükümdar çevredeki ülkelerle savaştı.
Anahtarı bulamıyor. | Kapımı açan şey kayboldu.

hi
बच्चा अँधेरे से डरता है। | रात में दीपक के बिना नन्हे सहम जाते हैं।
हम हर सुबह रोटी खरीदते हैं। | सूरज निकलते ही वे बेकरी से ताज़ा पाव लाते हैं।
कई दिन बारिश हुई और नदी चढ़ गई। | गीले मौसम के कारण नाले का पानी ऊँचा है।
मेरी दादी बीमार हैं। | बूढ़ी औरत को बुखार है और वह बिस्तर पर है।
राजा ने पड़ोसियों पर हमला किया। | एक शासक ने आसपास के देशों से युद्ध किया।
उसे चाबी नहीं मिल रही है। | मेरा दरवाज़ा खोलने वाली चीज़ खो गई।

vi
Đứa trẻ sợ bóng tối. | Ban đêm không có đèn, các em nhỏ hoảng hốt.
Chúng tôi mua bánh mì mỗi sáng. | Lúc mặt trời mọc, họ đến lò lấy ổ mới nướng.
Mưa nhiều ngày và nước sông dâng lên. | Con suối cao hơn vì thời tiết ẩm ướt.
Bà tôi bị ốm. | Cụ già lên cơn sốt và nằm trên giường.
Nhà vua tấn công các nước láng giềng. | Một người cai trị gây chiến với những quốc gia xung quanh.
Cô ấy không tìm thấy chìa khóa. | Thứ để mở cửa của tôi đã mất.
"""


class Encodes(Protocol):
    """What is needed of an encoder: ``engine.encoder.Encoder``, or anything that behaves like it."""

    fingerprint: str

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors [len(texts), dimension] float32."""


# By an encoder's fingerprint and a language's code.
_VECTORS: dict[tuple[str, str], np.ndarray] = {}
_FOUND: dict[tuple[str, str], bool] = {}


def reads(encoder: Encodes, language: str) -> bool | None:
    """Return whether ``encoder`` reads ``language`` ("en", "zh-cn", ..., as langdetect names it); None where unknown.

    Measured at the first call for an encoder and language, in the time of 24 short sentences (all-MiniLM-L6-v2 takes
    some 40 ms on two cores), then remembered by the encoder's fingerprint.
    """
    code = language.partition("-")[0]
    if code not in tested():
        return None
    key = (encoder.fingerprint, code)
    if key not in _FOUND:
        _FOUND[key] = agreement(encoder, code) >= _LEAST
    return _FOUND[key]


def tested() -> tuple[str, ...]:
    """Return the codes of the languages that can be tested: "en", "zh", ..."""
    return tuple(_sentences())


def agreement(encoder: Encodes, code: str) -> float:
    """Return how far closeness is closeness in meaning: 1 at best, about 0 for a language that is not read.

    ``code`` is one of ``tested()``.
    """
    first, second = _vectors(encoder, code)
    said_again = _correlation(first @ second.T)
    if code == "en":
        return said_again
    english = _vectors(encoder, "en")
    translated = (_correlation(first @ english[0].T) + _correlation(second @ english[1].T)) / 2
    return max(said_again, translated)


def unrelated(encoder: Encodes) -> float:
    """Return the usual cosine of two English sentences that have nothing to do with each other."""
    first, second = _vectors(encoder, "en")
    similarities = first @ second.T
    return float(similarities[~np.eye(len(similarities), dtype=bool)].mean())


def _vectors(encoder: Encodes, code: str) -> np.ndarray:
    """Return the vectors of a language's sentences [2, meanings, dimension] float32: one way to say them, the other."""
    key = (encoder.fingerprint, code)
    if key not in _VECTORS:
        texts = [text for side in zip(*_sentences()[code], strict=True) for text in side]
        _VECTORS[key] = encoder.encode(texts).reshape(2, len(texts) // 2, -1)
    return _VECTORS[key]


def _correlation(similarities: np.ndarray) -> float:
    """Return how well similarities [n, n] tell the pairs on the diagonal from the rest."""
    found, ideal = _centred(similarities), _centred(np.eye(len(similarities)))
    size = float(np.linalg.norm(found) * np.linalg.norm(ideal))
    # Equal vectors for all sentences, up to rounding, tell nothing apart.
    return float((found * ideal).sum()) / size if size > 1e-5 else 0.0


def _centred(matrix: np.ndarray) -> np.ndarray:
    """Take out the means of rows and columns: some sentences lie near to all others."""
    centred: np.ndarray = matrix - matrix.mean(0) - matrix.mean(1)[:, None] + matrix.mean()
    return centred


@cache
def _sentences() -> dict[str, list[tuple[str, str]]]:
    """Return by language code the sentences: for each meaning the two ways to say it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for block in _SENTENCES.strip().split("\n\n"):
        code, *lines = block.splitlines()
        found[code] = [(first, second) for first, _, second in (line.partition(" | ") for line in lines)]
    return found
