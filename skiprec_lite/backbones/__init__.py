"""Models that score the next item: NextItNet, SASRec, NFM, and three honest baselines that only count."""

from skiprec_lite.backbones.baselines import MarkovChain as MarkovChain
from skiprec_lite.backbones.baselines import Popularity as Popularity
from skiprec_lite.backbones.baselines import WindowCounter as WindowCounter
from skiprec_lite.backbones.devices import Device as Device
from skiprec_lite.backbones.devices import asked_device as asked_device
from skiprec_lite.backbones.devices import check_device as check_device
from skiprec_lite.backbones.devices import chosen_device as chosen_device
from skiprec_lite.backbones.devices import device_of as device_of
from skiprec_lite.backbones.devices import on_device as on_device
from skiprec_lite.backbones.nextitnet import NextItNet as NextItNet
from skiprec_lite.backbones.nfm import NFM as NFM
from skiprec_lite.backbones.residual_nfm import ResidualNFM as ResidualNFM
from skiprec_lite.backbones.sasrec import AttentionBlock as AttentionBlock
from skiprec_lite.backbones.sasrec import SASRec as SASRec
from skiprec_lite.backbones.scoring import Backbone as Backbone
from skiprec_lite.backbones.scoring import Encoder as Encoder
from skiprec_lite.backbones.scoring import NextItemModel as NextItemModel
from skiprec_lite.backbones.scoring import check_items as check_items
from skiprec_lite.backbones.scoring import in_eval_mode as in_eval_mode
from skiprec_lite.backbones.scoring import item_embedding as item_embedding
