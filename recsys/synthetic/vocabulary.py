"""Words of the synthetic marketplace: categories, nouns, brands and attributes, in English and Japanese.

Brands are invented. A leaf is (name, nouns, Japanese nouns, typical price, weight of supply and demand, day of the
year when it sells best, strength of that season).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Leaf:
    """A leaf category, with what is sold in it and when."""

    parent: str
    name: str
    nouns: tuple[str, ...]
    local_nouns: tuple[str, ...]
    price: float
    weight: float
    peak_day: int
    season: float


def _leaves(parent: str, *rows: tuple[str, str, str, float, float, int, float]) -> list[Leaf]:
    return [Leaf(parent, n, tuple(en.split(",")), tuple(jp.split(",")), *rest) for n, en, jp, *rest in rows]  # type: ignore[arg-type]


LEAVES: Final[tuple[Leaf, ...]] = (
    *_leaves(
        "Women",
        ("Dresses", "dress,maxi dress,wrap dress", "ワンピース,ドレス", 22, 9, 165, 0.5),
        ("Tops", "blouse,t-shirt,knit top", "ブラウス,Tシャツ", 11, 10, 150, 0.2),
        ("Coats", "coat,trench coat,parka", "コート,トレンチコート", 42, 5, 320, 0.8),
        ("Bags", "tote bag,shoulder bag,clutch", "トートバッグ,ショルダーバッグ", 38, 7, 340, 0.2),
        ("Shoes", "heels,ankle boots,sandals", "パンプス,ブーツ", 27, 7, 290, 0.2),
        ("Jewellery", "necklace,earrings,bracelet", "ネックレス,ピアス", 16, 5, 345, 0.3),
    ),
    *_leaves(
        "Men",
        ("Shirts", "shirt,polo shirt,flannel shirt", "シャツ,ポロシャツ", 14, 6, 140, 0.2),
        ("Jackets", "jacket,bomber jacket,denim jacket", "ジャケット,デニムジャケット", 40, 5, 310, 0.7),
        ("Trousers", "jeans,chinos,cargo trousers", "ジーンズ,チノパン", 20, 5, 270, 0.1),
        ("Sneakers", "sneakers,running shoes,high tops", "スニーカー,ランニングシューズ", 45, 7, 110, 0.1),
        ("Watches", "watch,chronograph,dive watch", "腕時計,クロノグラフ", 95, 3, 345, 0.3),
    ),
    *_leaves(
        "Kids",
        ("Babywear", "romper,sleepsuit,baby set", "ロンパース,ベビー服", 8, 5, 60, 0.1),
        ("Kids clothes", "kids jacket,kids dress,school set", "子供服,キッズジャケット", 9, 6, 250, 0.4),
        ("Toys", "puzzle,plush toy,building set", "パズル,ぬいぐるみ", 13, 7, 345, 0.7),
        ("Prams", "pram,buggy,car seat", "ベビーカー,チャイルドシート", 70, 2, 90, 0.2),
    ),
    *_leaves(
        "Electronics",
        ("Phones", "smartphone,phone", "スマートフォン,携帯", 140, 6, 330, 0.2),
        ("Phone accessories", "phone case,charger,power bank", "スマホケース,充電器", 9, 6, 330, 0.2),
        ("Laptops", "laptop,notebook,tablet", "ノートパソコン,タブレット", 210, 3, 250, 0.3),
        ("Audio", "headphones,speaker,turntable", "ヘッドホン,スピーカー", 48, 5, 340, 0.3),
        ("Cameras", "camera,lens,film camera", "カメラ,レンズ", 120, 3, 120, 0.2),
    ),
    *_leaves(
        "Games",
        ("Consoles", "console,handheld,controller", "ゲーム機,コントローラー", 95, 4, 345, 0.5),
        ("Video games", "game,video game,game bundle", "ゲームソフト,ソフト", 19, 8, 345, 0.4),
        ("Board games", "board game,card game,strategy game", "ボードゲーム,カードゲーム", 18, 4, 350, 0.5),
        ("Trading cards", "booster box,rare card,card lot", "トレカ,レアカード", 15, 7, 30, 0.1),
    ),
    *_leaves(
        "Home",
        ("Kitchen", "saucepan,coffee grinder,mixing bowl", "鍋,コーヒーミル", 17, 5, 340, 0.2),
        ("Decor", "vase,mirror,table lamp", "花瓶,ランプ", 18, 5, 100, 0.1),
        ("Furniture", "chair,side table,bookshelf", "椅子,本棚", 60, 3, 240, 0.3),
        ("Garden", "planter,garden tool,patio light", "植木鉢,園芸用品", 16, 3, 125, 0.9),
    ),
    *_leaves(
        "Media",
        ("Novels", "novel,paperback,thriller", "小説,文庫", 6, 7, 350, 0.2),
        ("Comics", "comic,manga,comic set", "漫画,コミック", 10, 7, 10, 0.1),
        ("Textbooks", "textbook,study guide,workbook", "教科書,参考書", 20, 4, 265, 0.8),
        ("Vinyl", "vinyl record,LP,single", "レコード,LP", 17, 4, 345, 0.2),
    ),
    *_leaves(
        "Sports",
        ("Cycling", "road bike,helmet,bike light", "自転車,ヘルメット", 55, 3, 140, 0.7),
        ("Camping", "tent,sleeping bag,camp stove", "テント,寝袋", 42, 3, 180, 0.9),
        ("Fitness", "dumbbells,yoga mat,kettlebell", "ダンベル,ヨガマット", 21, 4, 8, 0.6),
        ("Football", "jersey,football boots,scarf", "ユニフォーム,スパイク", 23, 4, 240, 0.3),
    ),
    *_leaves(
        "Beauty",
        ("Fragrance", "perfume,eau de toilette,scent set", "香水,フレグランス", 30, 4, 340, 0.4),
        ("Make-up", "palette,lipstick,foundation", "口紅,パレット", 11, 5, 340, 0.2),
        ("Skin care", "serum,face cream,mask set", "美容液,クリーム", 14, 4, 20, 0.1),
    ),
    *_leaves(
        "Collectables",
        ("Figures", "figure,model kit,statue", "フィギュア,プラモデル", 29, 5, 345, 0.1),
        ("Coins", "coin,stamp album,medal", "硬貨,切手帳", 22, 2, 30, 0.1),
        ("Idol goods", "photo card,light stick,poster", "生写真,ペンライト", 9, 6, 220, 0.1),
    ),
)

PARENTS: Final = tuple(dict.fromkeys(leaf.parent for leaf in LEAVES))

BRANDS: Final[dict[str, tuple[str, ...]]] = {
    "Women": (
        "Amarine",
        "Belleforte",
        "Céleste & Co",
        "Nordhus",
        "Sakura Lane",
        "Vela",
        "Mirabeau",
        "Oak & Ivy",
    ),
    "Men": ("Harrow", "Nordhus", "Kestrel", "Tanaka Works", "Ironbridge", "Vela", "Rookwood", "Strider"),
    "Kids": ("Petit Ours", "Tumbletots", "Kodomo", "Little Fjord", "Marble Bear", "Poppin"),
    "Electronics": ("Lumina", "Orbix", "Hikari", "Voltan", "Pixelle", "Sonora", "Zephyr"),
    "Games": ("Arcadia", "Ninja Fox", "Orbix", "Quest Forge", "Pixel Harbor", "Dragonmark"),
    "Home": ("Hearthside", "Skog", "Kurashi", "Oak & Ivy", "Bellport", "Terra Firma"),
    "Media": ("Blue Lantern", "Hoshi Press", "Northgate", "Groove Cellar", "Paper Crane"),
    "Sports": ("Strider", "Alpenglow", "Peakline", "Velo Sette", "Kestrel", "Fairway"),
    "Beauty": ("Rosalind", "Mizu", "Lune Claire", "Botanica", "Vela"),
    "Collectables": ("Dragonmark", "Hoshi", "Kaiju Lab", "Old Mint", "Starline"),
}
BRAND_NAMES: Final = tuple(dict.fromkeys(name for names in BRANDS.values() for name in names))

ATTRIBUTES: Final[tuple[tuple[str, str], ...]] = (
    ("black", "黒"),
    ("white", "白"),
    ("red", "赤"),
    ("navy", "紺"),
    ("green", "緑"),
    ("pink", "ピンク"),
    ("beige", "ベージュ"),
    ("silver", "シルバー"),
    ("vintage", "ヴィンテージ"),
    ("retro", "レトロ"),
    ("minimalist", "ミニマル"),
    ("floral", "花柄"),
    ("striped", "ストライプ"),
    ("leather", "レザー"),
    ("cotton", "コットン"),
    ("wooden", "木製"),
    ("handmade", "ハンドメイド"),
    ("limited edition", "限定"),
    ("classic", "定番"),
    ("sporty", "スポーティ"),
    ("elegant", "上品"),
    ("cute", "かわいい"),
    ("rare", "レア"),
    ("boxed", "箱付き"),
)
CONDITIONS: Final = ("new", "like_new", "good", "fair")
CONDITION_WORDS: Final = (
    ("brand new", "新品"),
    ("as new", "美品"),
    ("used", "中古"),
    ("well loved", "難あり"),
)
SIZES: Final = ("XS", "S", "M", "L", "XL")
SIZED_PARENTS: Final = ("Women", "Men", "Kids")
REGIONS: Final = ("north", "coast", "capital", "lakes", "hills", "south", "valley", "islands")
GENDERS: Final = ("f", "m", "x")
DEVICES: Final = ("ios", "android", "web")
EMOJI: Final = ("✨", "🔥", "🎁", "♡", "👗", "📦")
